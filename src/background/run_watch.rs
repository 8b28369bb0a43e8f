//! Polls watched runs.

use std::time::Duration;

use super::task::{Task, TaskError};
use crate::app::App;
use crate::app::runs::RUN_WATCH_TASK;

/// The time between two polls.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reads the watched runs.
pub struct RunWatch {
    app: App,
}

impl RunWatch {
    /// Polls the runs watched by streams of `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait::async_trait]
impl Task for RunWatch {
    fn name(&self) -> &'static str {
        RUN_WATCH_TASK
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        Ok(self.app.poll_watched_runs().await?)
    }
}
