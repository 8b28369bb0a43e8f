//! The interface of background tasks.

use std::time::Duration;

/// Why a run of a task failed.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// The pause after the first failure of most tasks.
pub const DEFAULT_MIN_BACKOFF: Duration = Duration::from_secs(1);

/// A task that runs again and again until the server stops.
#[async_trait::async_trait]
pub trait Task: Send + Sync + 'static {
    /// The name in logs, metrics and, as `system:<name>`, in the audit log.
    fn name(&self) -> &'static str;

    /// The time between two runs.
    fn interval(&self) -> Duration;

    /// The pause after a failed run, doubled after each further one up to 30 s, and never longer than the interval.
    fn min_backoff(&self) -> Duration {
        DEFAULT_MIN_BACKOFF
    }

    /// Runs once. The future is dropped on shutdown, so anything that must not be interrupted belongs in a transaction.
    async fn run_once(&self) -> Result<(), TaskError>;

    /// Resolves when the task should run before its interval is over.
    async fn requested(&self) {
        std::future::pending::<()>().await;
    }
}
