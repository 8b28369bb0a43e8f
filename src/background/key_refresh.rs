//! Refreshes the public keys of the token issuer.

use std::time::Duration;

use super::task::{Task, TaskError};
use crate::identity::{FETCH_INTERVAL, KeySet};

/// The time between two refreshes that no token requested.
const INTERVAL: Duration = Duration::from_mins(5);

/// Refreshes a key set.
pub struct KeyRefresh {
    keys: KeySet,
}

impl KeyRefresh {
    /// Refreshes `keys`.
    pub fn new(keys: KeySet) -> Self {
        Self { keys }
    }
}

#[async_trait::async_trait]
impl Task for KeyRefresh {
    fn name(&self) -> &'static str {
        "key_refresh"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn min_backoff(&self) -> Duration {
        // Tokens with unknown keys request refreshes, and a failed one must not cause more fetches.
        FETCH_INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        Ok(self.keys.refresh().await?)
    }

    async fn requested(&self) {
        self.keys.refresh_requested().await;
    }
}
