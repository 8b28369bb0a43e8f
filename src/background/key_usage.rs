//! Counts the stored credentials per sealing key, for the metric `secret.rows`.

use std::time::Duration;

use tokio::sync::Notify;

use super::task::{Task, TaskError};
use crate::app::App;

/// The time between two counts.
const INTERVAL: Duration = Duration::from_mins(5);

/// Counts credentials by key.
pub struct KeyUsage {
    app: App,
    first_run: Notify,
}

impl KeyUsage {
    /// Counts the credentials of `app`. The first run is requested immediately.
    pub fn new(app: App) -> Self {
        let first_run = Notify::new();
        first_run.notify_one();
        Self { app, first_run }
    }
}

#[async_trait::async_trait]
impl Task for KeyUsage {
    fn name(&self) -> &'static str {
        "key_usage"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        for (key_id, rows) in self.app.count_credentials_by_key().await? {
            // A gauge is a float; the number of rows stays far below 2^53.
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            metrics::gauge!("secret.rows", "key_id" => key_id).set(rows as f64);
        }
        Ok(())
    }

    async fn requested(&self) {
        self.first_run.notified().await;
    }
}
