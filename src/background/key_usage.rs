//! Counts how many secrets each key of the ring has sealed, for the metric `secret.rows`.

use std::time::Duration;

use super::task::{Task, TaskError};
use crate::store::{Store, credentials};

/// The time between two counts.
const INTERVAL: Duration = Duration::from_mins(5);

/// Counts sealed secrets by key.
pub struct KeyUsage {
    store: Store,
}

impl KeyUsage {
    /// Counts secrets of a store.
    pub fn new(store: Store) -> Self {
        Self { store }
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
        let reader = self.store.background_reader().await?;
        for (key_id, rows) in credentials::count_by_key(&reader).await? {
            // A gauge is a float; the number of rows stays far below 2^53.
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            metrics::gauge!("secret.rows", "key_id" => key_id).set(rows as f64);
        }
        Ok(())
    }
}
