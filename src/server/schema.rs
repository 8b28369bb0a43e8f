//! The schema at start: brought up, or waited for.

use std::time::Duration;

use super::StartError;
use crate::config::Migrate;
use crate::store::{MigrateError, Store};

/// How often a schema that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Returns when the schema is ours. A newer one ends the process.
pub async fn prepare(store: &Store, migrate: Migrate) -> Result<(), StartError> {
    if migrate == Migrate::Auto {
        let state = store.migrate().await?;
        tracing::info!(steps = state.applied.len(), "the schema is up to date");
        return Ok(());
    }
    loop {
        match store.schema_state().await {
            Ok(state) if !state.unknown.is_empty() => return Err(MigrateError::Newer(state.unknown).into()),
            Ok(state) if state.pending.is_empty() => return Ok(()),
            Ok(state) => tracing::info!(pending = state.pending.len(), "waiting for the schema"),
            Err(error) => tracing::warn!(%error, "waiting for the database"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
