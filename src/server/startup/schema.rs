//! The schema at start: migrated, or waited for.

use std::time::{Duration, Instant};

use crate::config::Migrate;
use crate::server::error::StartError;
use crate::store::{MigrateError, SchemaState, Store, audit_events};

/// The time between two checks of a schema that another process migrates.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the statement about the audit feed may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns when the schema is what this build needs, and the audit feed of a restored dump goes on. A newer schema is an
/// error.
pub async fn prepare(store: &Store, migrate: Migrate) -> Result<(), StartError> {
    wait_or_migrate(store, migrate).await?;
    let deadline = Instant::now() + TIMEOUT;
    let continued = store.transact_in_background(deadline, (), |db, ()| Box::pin(audit_events::continue_feed(db)));
    continued.await.map_err(StartError::Store)
}

/// Opens the connections that a start needs, and returns the state of the schema.
pub async fn state(store: &Store) -> Result<SchemaState, MigrateError> {
    store.connect().await?;
    store.schema_state().await
}

async fn wait_or_migrate(store: &Store, migrate: Migrate) -> Result<(), StartError> {
    if migrate == Migrate::Auto {
        let state = store.migrate().await?;
        tracing::info!(migrations = state.applied.len(), "the schema is up to date");
        return Ok(());
    }
    loop {
        match state(store).await {
            Ok(state) if !state.unknown.is_empty() => return Err(MigrateError::Newer(state.unknown).into()),
            Ok(state) if state.pending.is_empty() => return Ok(()),
            Ok(state) => tracing::info!(pending = state.pending.len(), "waiting for the schema to be migrated"),
            Err(error) if error.is_permanent() => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "waiting for the database"),
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
