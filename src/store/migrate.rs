//! Schema migrations, run by one process at a time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait as _;

use super::connect::ACQUIRE_TIMEOUT;
use super::database::Store;
use super::error::is_conflict;
use super::migrations::Migrator;
use super::postgres::CheckError;
use crate::model::Error;

/// Key of PostgreSQL's advisory lock for migrations.
const ADVISORY_LOCK: i64 = 0x6f75_7466_6c6f_7700;
/// How long to wait for another process that migrates a SQLite file.
const SQLITE_MIGRATION_TIMEOUT: Duration = Duration::from_mins(1);
/// Pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// State of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaState {
    /// Applied migrations of this build.
    pub applied: Vec<String>,
    /// Migrations of this build that are not applied.
    pub pending: Vec<String>,
    /// Applied migrations that this build does not know.
    pub unknown: Vec<String>,
}

impl SchemaState {
    /// Whether the schema is exactly the one of this build.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.unknown.is_empty()
    }
}

/// Why the migration failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer build migrated the schema.
    #[error("the schema is newer than this build; unknown migrations: {}", .0.join(", "))]
    Newer(Vec<String>),
    /// A statement failed.
    #[error("migration statement failed: {}", explain(.0))]
    Database(DbErr),
    /// The database did not accept a connection in time.
    #[error("no database connection within {} s", ACQUIRE_TIMEOUT.as_secs())]
    NoConnection(#[source] DbErr),
    /// No connection to PostgreSQL can be used.
    #[error(transparent)]
    Unusable(#[from] CheckError),
    /// Connecting failed.
    #[error("database unavailable: {0}")]
    Unavailable(Error),
}

impl MigrateError {
    /// Whether waiting cannot help.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Newer(_) | Self::Unusable(CheckError::Pooler(_)))
    }
}

impl Store {
    /// Applies all pending migrations in one transaction, if there are any.
    pub async fn migrate(&self) -> Result<SchemaState, MigrateError> {
        let deadline = Instant::now() + SQLITE_MIGRATION_TIMEOUT;
        let state = self.schema_state_until(deadline).await?;
        if state.is_current() {
            return Ok(state);
        }
        loop {
            match self.migrate_once().await {
                Err(error) if is_busy(&error, deadline) => tokio::time::sleep(RETRY_INTERVAL).await,
                result => return result,
            }
        }
    }

    async fn migrate_once(&self) -> Result<SchemaState, MigrateError> {
        let _permit =
            self.write_pool().acquire_permit(None, ACQUIRE_TIMEOUT).await.map_err(MigrateError::Unavailable)?;
        self.write_pool().return_idle();
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

    /// The state of the schema; changes nothing.
    pub async fn schema_state(&self) -> Result<SchemaState, MigrateError> {
        self.schema_state_until(Instant::now() + SQLITE_MIGRATION_TIMEOUT).await
    }

    async fn schema_state_until(&self, deadline: Instant) -> Result<SchemaState, MigrateError> {
        self.check_connection().await?;
        loop {
            let reader = self.readiness_reader();
            match state(&reader).await.map_err(failed) {
                Err(error) if is_busy(&error, deadline) => tokio::time::sleep(RETRY_INTERVAL).await,
                result => return result,
            }
        }
    }
}

/// Says why a statement failed, and what to do about what an operator can change.
fn explain(error: &DbErr) -> String {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
        return error.to_string();
    };
    let Some(refusal) = cause.as_database_error() else { return cause.to_string() };
    let message = refusal.message();
    match refusal.code().as_deref() {
        Some("42501") => format!(
            "{message}; let the role create tables there (`GRANT CREATE, USAGE ON SCHEMA … TO …`), or make it the owner of the \
             database"
        ),
        Some("3F000") => format!("{message}; create the schema that the `search_path` of the role names"),
        Some("25006") => format!(
            "{message}; the database accepts no changes: use the primary, and check `default_transaction_read_only`"
        ),
        _ => message.to_owned(),
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

/// Whether another process is migrating and the caller should wait: the SQLite file is locked then, even for opening.
fn is_busy(error: &MigrateError, deadline: Instant) -> bool {
    matches!(error, MigrateError::Database(error) if is_conflict(error)) && Instant::now() < deadline
}
