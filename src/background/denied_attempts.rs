//! Writes denied attempts to the audit log.

use std::time::Duration;

use super::task::{Task, TaskError};
use crate::app::{App, DENIED_ATTEMPTS_TASK};

/// The time between two writes.
const INTERVAL: Duration = Duration::from_secs(5);

/// Writes the denied attempts that were counted in memory.
pub struct DeniedAttempts {
    app: App,
}

impl DeniedAttempts {
    /// Writes the denied attempts of `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait::async_trait]
impl Task for DeniedAttempts {
    fn name(&self) -> &'static str {
        DENIED_ATTEMPTS_TASK
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        Ok(self.app.flush_denied_attempts().await?)
    }
}
