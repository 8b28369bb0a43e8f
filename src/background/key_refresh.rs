//! Refreshes the public keys of the token issuers, a task for each issuer.

use std::time::Duration;

use super::task::{DEFAULT_MIN_BACKOFF, Task, TaskError};
use crate::identity::{FETCH_INTERVAL, KeySet, KeySetError};

/// The time between two refreshes that no token requested.
const INTERVAL: Duration = Duration::from_mins(5);

/// The keys of an issuer. Clones share the keys.
#[derive(Clone)]
pub struct IssuerKeys {
    /// The name of the issuer.
    pub issuer: String,
    /// The key set that is loaded again.
    pub keys: KeySet,
}

/// The keys of an issuer were not refreshed.
#[derive(Debug, thiserror::Error)]
#[error("issuer `{issuer}`: {cause}")]
struct NotRefreshed {
    issuer: String,
    cause: KeySetError,
}

/// Refreshes the key set of an issuer.
pub struct KeyRefresh(IssuerKeys);

impl KeyRefresh {
    /// Refreshes `keys`.
    pub fn new(keys: IssuerKeys) -> Self {
        Self(keys)
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
        // Tokens with unknown keys request refreshes, and a failed one must not cause more fetches. Until the first keys are
        // loaded, the server is not ready.
        if self.0.keys.was_loaded() { FETCH_INTERVAL } else { DEFAULT_MIN_BACKOFF }
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        let IssuerKeys { issuer, keys } = &self.0;
        let is_first = !keys.was_loaded();
        keys.refresh().await.map_err(|cause| NotRefreshed { issuer: issuer.clone(), cause })?;
        if is_first {
            tracing::info!(issuer, "loaded the keys of an issuer");
        }
        Ok(())
    }

    async fn requested(&self) {
        self.0.keys.refresh_requested().await;
    }
}
