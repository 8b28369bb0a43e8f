//! The database: the only place that names SeaORM.
//!
//! Functions are free and small: they take a pool or a transaction and the organization, and give model types, never
//! entities. Absence is `Option`; what forbids a change is decided in `app`.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::model::{Clock, Error, Exhausted, Result};

pub mod attachments;
pub mod audit;
pub mod blocking;
mod connect;
pub mod connections;
pub mod credentials;
mod entities;
mod error;
mod export_rows;
pub mod exports;
mod expressions;
pub mod locks;
mod migrate;
mod migrations;
mod one;
mod paging;
pub mod request_ids;
pub mod retention;
mod scope;
pub mod sealed;
mod transaction;
pub mod usable;

pub use connect::{ConnectError, DatabaseSettings, check_url};
pub use migrate::{MigrateError, SchemaState};
pub use retention::Retention;
pub use scope::{ReadContext, Scope};
pub use transaction::{OnSuccess, Transaction};

/// The database, opened. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    read: DatabaseConnection,
    read_permits: Arc<Semaphore>,
    write: DatabaseConnection,
    write_permits: Arc<Semaphore>,
    read_context: ReadContext,
    tasks: TaskTracker,
}

/// A pool to read from, and a place in it; given back when dropped.
pub struct Reader<'a> {
    pool: &'a DatabaseConnection,
    _permit: OwnedSemaphorePermit,
}

impl Store {
    /// Opens the database; its schema is left alone.
    ///
    /// `known_types` are the connection types of the catalog: a connection of any other cannot be used.
    pub fn open(settings: &DatabaseSettings, known_types: Vec<String>, clock: Clock) -> Result<Self, ConnectError> {
        let pools = connect::open(settings)?;
        let permits = |size: u32| Arc::new(Semaphore::new(size as usize));
        Ok(Self(Arc::new(Inner {
            read: pools.read.0,
            read_permits: permits(pools.read.1),
            write: pools.write.0,
            write_permits: permits(pools.write.1),
            read_context: ReadContext { known_types: known_types.into(), clock },
            tasks: TaskTracker::new(),
        })))
    }

    /// A place to read from. Waits up to 3 s for one, then `OVERLOADED`.
    pub async fn reader(&self) -> Result<Reader<'_>> {
        Ok(Reader { pool: &self.0.read, _permit: acquire_permit(&self.0.read_permits).await? })
    }

    /// What every read needs to know.
    pub fn read_context(&self) -> &ReadContext {
        &self.0.read_context
    }

    /// Whether the database answers, takes writes and is not a standby.
    pub async fn is_ready(&self) -> Result<bool> {
        let reader = self.reader().await?;
        let sql = if reader.get_database_backend() == DbBackend::Postgres {
            "SELECT NOT pg_is_in_recovery() AS ready"
        } else {
            "SELECT 1 AS ready"
        };
        let row = reader.query_one_raw(Statement::from_string(reader.get_database_backend(), sql)).await?;
        Ok(row.is_some_and(|row| row.try_get::<bool>("", "ready").unwrap_or(false)))
    }

    /// Waits until every transaction under way has ended.
    pub async fn shutdown(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    fn write_pool(&self) -> &DatabaseConnection {
        &self.0.write
    }

    async fn write_permit(&self) -> Result<OwnedSemaphorePermit> {
        acquire_permit(&self.0.write_permits).await
    }
}

/// Waits for a place, as long as a connection may take: with one in hand, a pool that gives no connection is nearly always
/// a database that does not answer.
async fn acquire_permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let waited = tokio::time::timeout(connect::ACQUIRE_TIMEOUT, Arc::clone(permits).acquire_owned()).await;
    waited.map_err(|_| Error::Exhausted(Exhausted::Overloaded))?.map_err(Error::internal)
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        connect::with_client_timeout(self.get_database_backend(), self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        connect::with_client_timeout(self.get_database_backend(), self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        connect::with_client_timeout(self.get_database_backend(), self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        connect::with_client_timeout(self.get_database_backend(), self.pool.query_all_raw(statement)).await
    }
}
