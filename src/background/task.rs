//! The interface of background tasks.

use std::time::Duration;

/// Why a run of a task failed.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// A task that runs again and again until the server stops.
#[async_trait::async_trait]
pub trait Task: Send + Sync + 'static {
    /// The name in logs, metrics and, as `system:<name>`, in the audit log.
    fn name(&self) -> &'static str;

    /// The time between two runs.
    fn interval(&self) -> Duration;

    /// Runs once. The future is dropped on shutdown, so anything that must not be interrupted belongs in a transaction.
    async fn run_once(&self) -> Result<(), TaskError>;

    /// Resolves when the task should run before its interval is over.
    async fn requested(&self) {
        std::future::pending::<()>().await;
    }
}
