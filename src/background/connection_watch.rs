//! Polls watched connections.

use std::time::Duration;

use super::task::{Task, TaskError};
use crate::app::App;
use crate::app::connections::WATCH_TASK;

/// The time between two polls.
const INTERVAL: Duration = Duration::from_secs(1);

/// Reads the state of watched connections.
pub struct ConnectionWatch {
    app: App,
}

impl ConnectionWatch {
    /// Polls the connections watched by streams of `app`.
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait::async_trait]
impl Task for ConnectionWatch {
    fn name(&self) -> &'static str {
        WATCH_TASK
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        Ok(self.app.poll_watched_connections().await?)
    }
}
