//! Returns idle database connections to their pools, which test them and close the old ones.

use std::time::Duration;

use super::task::{Task, TaskError};
use crate::store::Store;

/// The time between two runs.
const INTERVAL: Duration = Duration::from_secs(10);

/// Returns connections that have been open for half a minute and are not in use.
pub struct IdleConnections {
    store: Store,
}

impl IdleConnections {
    /// Returns the connections of `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait::async_trait]
impl Task for IdleConnections {
    fn name(&self) -> &'static str {
        "idle_connections"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        self.store.return_idle_connections();
        Ok(())
    }
}
