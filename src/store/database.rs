//! An open database: pools for reads, for writes and for background tasks, each bounded by permits.

use std::sync::Arc;
use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::connect::{self, ACQUIRE_TIMEOUT, ConnectError, DatabaseSettings, OpenedPool};
use super::query::scope::ReadContext;
use super::statement;
use crate::model::{Clock, Error, Exhausted, Result};

/// Metric label with the name of the pool.
const POOL_NAME: &str = "db.client.connection.pool.name";
/// The metric of waits for a permit that timed out.
const POOL_TIMEOUTS: &str = "db.client.connection.timeouts";

/// An open database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    read: Pool,
    write: Pool,
    background_read: Pool,
    background_write: Pool,
    read_context: ReadContext,
    transactions: TaskTracker,
}

/// A connection pool with as many permits as connections.
#[derive(Clone)]
pub(super) struct Pool {
    name: &'static str,
    connections: DatabaseConnection,
    permits: Arc<Semaphore>,
    size: u32,
}

/// A permit to read from a pool; released on drop.
pub struct Reader<'a> {
    connections: &'a DatabaseConnection,
    _permit: OwnedSemaphorePermit,
}

/// Usage of a pool, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// `read`, `write` or `background`.
    pub name: &'static str,
    /// Maximum number of connections.
    pub max: u32,
    /// Open connections that are idle.
    pub idle: u32,
    /// Open connections that are in use.
    pub used: u32,
}

impl Store {
    /// Opens the database. Connections are opened on demand; the schema is not changed.
    ///
    /// `known_types` are the connection types of the catalog; connections of other types are not usable.
    pub fn open(settings: &DatabaseSettings, known_types: Vec<String>, clock: Clock) -> Result<Self, ConnectError> {
        let opened = connect::open(settings)?;
        let (read, write) = (Pool::new("read", opened.read), Pool::new("write", opened.write));
        let background = opened.background.map(|opened| Pool::new("background", opened));
        Ok(Self(Arc::new(Inner {
            background_read: background.clone().unwrap_or_else(|| read.clone()),
            background_write: background.unwrap_or_else(|| write.clone()),
            read,
            write,
            read_context: ReadContext { known_types: known_types.into(), clock },
            transactions: TaskTracker::new(),
        })))
    }

    /// Acquires a permit to read for a call; fails with `OVERLOADED` after 3 s.
    pub async fn reader(&self) -> Result<Reader<'_>> {
        self.0.read.reader().await
    }

    /// Acquires a permit to read for a background task: from its own pool on PostgreSQL, from the read pool on SQLite.
    pub async fn background_reader(&self) -> Result<Reader<'_>> {
        self.0.background_read.reader().await
    }

    /// The clock and the known connection types, needed by every read.
    pub fn read_context(&self) -> &ReadContext {
        &self.0.read_context
    }

    /// The kind of database.
    pub fn backend(&self) -> DbBackend {
        self.0.write.connections.get_database_backend()
    }

    /// Whether the database responds and accepts writes; a standby does not.
    pub async fn is_ready(&self) -> Result<bool> {
        let reader = self.background_reader().await?;
        let sql = if self.backend() == DbBackend::Postgres {
            "SELECT NOT pg_is_in_recovery() AS ready"
        } else {
            "SELECT 1 AS ready"
        };
        let row = reader.query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        Ok(row.is_some_and(|row| row.try_get::<bool>("", "ready").unwrap_or(false)))
    }

    /// Waits until all transactions have ended.
    pub async fn shutdown(&self) {
        self.0.transactions.close();
        self.0.transactions.wait().await;
    }

    /// Current usage of the pools.
    pub fn pools(&self) -> Vec<PoolStatus> {
        let pools = [&self.0.read, &self.0.write, &self.0.background_write];
        let mut statuses: Vec<_> = pools.into_iter().map(Pool::status).collect();
        statuses.dedup_by_key(|status| status.name);
        statuses
    }

    pub(super) fn transactions(&self) -> &TaskTracker {
        &self.0.transactions
    }

    pub(super) fn write_pool(&self) -> &Pool {
        &self.0.write
    }

    pub(super) fn background_write_pool(&self) -> &Pool {
        &self.0.background_write
    }
}

impl Pool {
    fn new(name: &'static str, opened: OpenedPool) -> Self {
        let OpenedPool { connections, size } = opened;
        metrics::counter!(POOL_TIMEOUTS, POOL_NAME => name).increment(0);
        Self { name, connections, permits: Arc::new(Semaphore::new(size as usize)), size }
    }

    pub(super) fn connections(&self) -> &DatabaseConnection {
        &self.connections
    }

    /// Acquires a permit, with the same timeout as for a connection. A permit guarantees a free slot in the pool, so a
    /// timeout of the pool itself nearly always means that the database does not respond.
    pub(super) async fn acquire_permit(&self) -> Result<OwnedSemaphorePermit> {
        let started = Instant::now();
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.permits).acquire_owned()).await;
        metrics::histogram!("db.client.connection.wait_time", POOL_NAME => self.name).record(started.elapsed());
        let Ok(permit) = permit else {
            metrics::counter!(POOL_TIMEOUTS, POOL_NAME => self.name).increment(1);
            return Err(Error::Exhausted(Exhausted::Overloaded));
        };
        permit.map_err(Error::internal)
    }

    async fn reader(&self) -> Result<Reader<'_>> {
        Ok(Reader { _permit: self.acquire_permit().await?, connections: &self.connections })
    }

    fn status(&self) -> PoolStatus {
        let (open, idle) = connect::open_and_idle(&self.connections);
        PoolStatus { name: self.name, max: self.size, idle, used: open.saturating_sub(idle) }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.connections.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        statement::execute(self.connections, statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        statement::execute_unprepared(self.connections, sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        statement::query_one(self.connections, statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        statement::query_all(self.connections, statement).await
    }
}
