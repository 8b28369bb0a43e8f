//! Brings the schema to what this build knows, one process at a time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;

use super::connect::ACQUIRE_TIMEOUT;
use super::database::Store;
use super::migrations::Migrator;
use crate::model::Error;

/// Names the migration among PostgreSQL's advisory locks.
const ADVISORY_LOCK: i64 = 0x6f75_7466_6c6f_7700;
/// How long another process at SQLite's schema is waited for.
const SQLITE_MIGRATION_TIMEOUT: Duration = Duration::from_mins(1);
/// The pause before another look.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// What is known about the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// Steps that were taken.
    pub applied: Vec<String>,
    /// Steps that this build knows and that were not taken.
    pub pending: Vec<String>,
    /// Steps that were taken by a newer build.
    pub unknown: Vec<String>,
}

impl SchemaState {
    /// Whether this build can work with it.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.unknown.is_empty()
    }
}

/// Why the schema could not be brought up.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer build was here.
    #[error("the schema is newer than this build: it does not know {0:?}")]
    Newer(Vec<String>),
    /// The database said no.
    #[error("the migration failed")]
    Database(#[source] DbErr),
    /// The database is not there, or lets nobody in.
    #[error("the database gave no connection within {} s", ACQUIRE_TIMEOUT.as_secs())]
    NoConnection(#[source] DbErr),
    /// The database could not be had.
    #[error("the database cannot be had: {0:?}")]
    Unavailable(Error),
}

impl Store {
    /// Takes every step that was not taken yet; all of them, or none.
    pub async fn migrate(&self) -> Result<SchemaState, MigrateError> {
        let deadline = Instant::now() + SQLITE_MIGRATION_TIMEOUT;
        loop {
            match self.migrate_once().await {
                Err(error) if is_busy(&error, deadline) => tokio::time::sleep(RETRY_INTERVAL).await,
                answer => return answer,
            }
        }
    }

    async fn migrate_once(&self) -> Result<SchemaState, MigrateError> {
        let _permit = self.write_pool().acquire_permit().await.map_err(MigrateError::Unavailable)?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let transaction = self.write_pool().connections().begin_with_options(options).await.map_err(failed)?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            let sql = format!(
                "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"
            );
            transaction.execute_unprepared(&sql).await.map_err(MigrateError::Database)?;
        }
        let state = state(&transaction).await.map_err(MigrateError::Database)?;
        if !state.unknown.is_empty() {
            return Err(MigrateError::Newer(state.unknown));
        }
        if state.pending.is_empty() {
            transaction.rollback().await.map_err(MigrateError::Database)?;
            return Ok(state);
        }
        Migrator::up(&transaction, None).await.map_err(MigrateError::Database)?;
        let state = self::state(&transaction).await.map_err(MigrateError::Database)?;
        transaction.commit().await.map_err(MigrateError::Database)?;
        Ok(state)
    }

    /// What is known about the schema; nothing is changed.
    pub async fn schema_state(&self) -> Result<SchemaState, MigrateError> {
        let deadline = Instant::now() + SQLITE_MIGRATION_TIMEOUT;
        loop {
            let reader = self.background_reader().await.map_err(MigrateError::Unavailable)?;
            match state(&reader).await.map_err(failed) {
                Err(error) if is_busy(&error, deadline) => tokio::time::sleep(RETRY_INTERVAL).await,
                answer => return answer,
            }
        }
    }
}

fn failed(error: DbErr) -> MigrateError {
    if matches!(error, DbErr::ConnectionAcquire(_)) {
        MigrateError::NoConnection(error)
    } else {
        MigrateError::Database(error)
    }
}

async fn state(db: &impl ConnectionTrait) -> Result<SchemaState, DbErr> {
    let backend = db.get_database_backend();
    let exists = if backend == DbBackend::Postgres {
        "SELECT to_regclass('seaql_migrations') IS NOT NULL AS found"
    } else {
        "SELECT count(*) > 0 AS found FROM sqlite_master WHERE name = 'seaql_migrations'"
    };
    let found = db.query_one_raw(Statement::from_string(backend, exists)).await?;
    let mut applied = Vec::new();
    if found.map(|row| row.try_get::<bool>("", "found")).transpose()?.unwrap_or(false) {
        let rows = "SELECT version FROM seaql_migrations ORDER BY version";
        for row in db.query_all_raw(Statement::from_string(backend, rows)).await? {
            applied.push(row.try_get::<String>("", "version")?);
        }
    }
    let known: Vec<String> = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
    let (taken, ours): (HashSet<&String>, HashSet<&String>) = (applied.iter().collect(), known.iter().collect());
    let pending = known.iter().filter(|step| !taken.contains(step)).cloned().collect();
    let unknown = applied.iter().filter(|step| !ours.contains(step)).cloned().collect();
    Ok(SchemaState { applied, pending, unknown })
}

/// Whether another process is at the schema, and worth waiting for: SQLite's file is locked then, even to those that only
/// open it.
fn is_busy(error: &MigrateError, deadline: Instant) -> bool {
    let conflict = |error: &DbErr| matches!(Error::from(error.clone()), Error::Aborted(_));
    matches!(error, MigrateError::Database(error) if conflict(error)) && Instant::now() < deadline
}
