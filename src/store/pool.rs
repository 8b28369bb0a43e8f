//! Pools of connections, each bounded by permits, and what reads from them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::connect::{self, OpenedPool};
use super::error;
use super::session::Session;
use super::uninterrupted::Uninterrupted;
use crate::fair_share::{FairShare, Share};
use crate::model::{Caller, Error, Result, Unavailable};

/// Metric label with the name of the pool.
const POOL_NAME: &str = "db.client.connection.pool.name";
/// The metric of waits for a permit that timed out.
const POOL_TIMEOUTS: &str = "db.client.connection.timeouts";

/// A connection pool with as many permits as connections. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<PoolInner>);

struct PoolInner {
    name: &'static str,
    connections: DatabaseConnection,
    is_for_readers: bool,
    /// Open connections that no permit uses. There are never more than permits.
    free: Mutex<Vec<Session>>,
    permits: FairShare,
    size: u32,
    tasks: TaskTracker,
    last_response: LastResponse,
    wait_time: metrics::Histogram,
}

/// When the database responded last, on a connection of any pool.
#[derive(Clone)]
pub struct LastResponse(Arc<Mutex<Instant>>);

/// Reads from a pool. Each statement acquires a permit, which is released when the statement has ended, even if its call was
/// cancelled, or when its `LeasedRows` are dropped.
pub struct Reader<'a> {
    pool: &'a Pool,
    holder: Option<Arc<Caller>>,
    /// How long a statement waits for its permit.
    timeout: Duration,
}

/// A permit, and an open connection for its statements.
pub struct Lease {
    session: Option<Session>,
    pool: Pool,
    permit: Share,
}

/// Rows that keep the permit and the connection of their statement, until they are dropped. Otherwise the thread of SQLite would
/// allocate the rows of the next statement while another core frees these, which delays both.
pub struct LeasedRows {
    rows: Vec<QueryResult>,
    _lease: Lease,
}

/// Usage of a pool, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// `read`, `write`, `background` or `readiness`.
    pub name: &'static str,
    /// Maximum number of connections.
    pub max: u32,
    /// Open connections that are idle.
    pub idle: u32,
    /// Open connections that are in use.
    pub used: u32,
}

impl LastResponse {
    /// As if the database responded now.
    pub fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Notes a response.
    pub fn note(&self) {
        *self.0.lock() = Instant::now();
    }

    fn is_after(&self, time: Instant) -> bool {
        *self.0.lock() >= time
    }
}

impl Pool {
    /// `name` and `permits` are the names of the pool and of its permits in errors and metrics.
    pub fn new(
        name: &'static str,
        permits: &'static str,
        opened: OpenedPool,
        is_for_readers: bool,
        tasks: &TaskTracker,
        last_response: &LastResponse,
    ) -> Self {
        metrics::counter!(POOL_TIMEOUTS, POOL_NAME => name).increment(0);
        let size = u64::from(opened.size);
        // What a caller that is alone can use. Readers need the processor, so more of them are not faster. Writers wait for
        // the disk; the quarter that is left is the share of the next organization.
        let unshared = if is_for_readers { size.div_ceil(2) } else { size - size.div_ceil(4) };
        Self(Arc::new(PoolInner {
            name,
            connections: opened.connections,
            is_for_readers,
            free: Mutex::default(),
            permits: FairShare::in_turns(permits, size, unshared),
            size: opened.size,
            tasks: tasks.clone(),
            last_response: last_response.clone(),
            wait_time: metrics::histogram!("db.client.connection.wait_time", POOL_NAME => name),
        }))
    }

    /// The connections, for what needs one of its own.
    pub fn connections(&self) -> &DatabaseConnection {
        &self.0.connections
    }

    /// When the database responded last.
    pub fn last_response(&self) -> &LastResponse {
        &self.0.last_response
    }

    /// Acquires a permit; calls wait as long as for a connection. A permit guarantees a free slot in the pool, so a
    /// timeout of the pool itself nearly always means that the database does not respond. If no other call had a response
    /// either, the error is UNAVAILABLE.
    pub async fn acquire_permit(&self, holder: Option<&Arc<Caller>>, timeout: Duration) -> Result<Share> {
        let started = Instant::now();
        let permit = self.0.permits.acquire(holder, 1, timeout).await;
        self.0.wait_time.record(started.elapsed());
        permit.map_err(|refused| {
            metrics::counter!(POOL_TIMEOUTS, POOL_NAME => self.0.name).increment(1);
            if self.0.last_response.is_after(started) { refused } else { Error::Unavailable(Unavailable::Database) }
        })
    }

    /// Whether a call waits for a permit.
    pub fn has_waiting(&self) -> bool {
        self.0.permits.has_waiting()
    }

    /// Reads whose statements wait for a permit up to `timeout`.
    pub fn reader(&self, holder: Option<&Arc<Caller>>, timeout: Duration) -> Reader<'_> {
        Reader { pool: self, holder: holder.cloned(), timeout }
    }

    /// Acquires a permit, with an open connection if there is one.
    pub async fn lease(&self, holder: Option<&Arc<Caller>>, timeout: Duration) -> Result<Lease> {
        let permit = self.acquire_permit(holder, timeout).await?;
        let session = {
            let mut free = self.0.free.lock();
            // First those on which a transaction has begun for a call that waited.
            let begun = free.iter().position(Session::has_begun);
            begun.map(|index| free.swap_remove(index)).or_else(|| free.pop())
        };
        Ok(Lease { session, pool: self.clone(), permit })
    }

    /// Returns the connections that no permit uses to the pool.
    pub fn return_idle(&self) {
        self.0.free.lock().clear();
    }

    /// The same for those that are old.
    pub fn return_old(&self) {
        self.0.free.lock().retain(Session::is_reusable);
    }

    /// Its current usage.
    pub fn status(&self) -> PoolStatus {
        let (open, idle) = connect::open_and_idle(&self.0.connections);
        let idle = idle + u32::try_from(self.0.free.lock().len()).unwrap_or(u32::MAX);
        PoolStatus { name: self.0.name, max: self.0.size, idle, used: open.saturating_sub(idle) }
    }
}

impl Lease {
    /// Takes the connection, or opens another one if there is none or it is too old.
    pub async fn take(&mut self) -> Result<Session, DbErr> {
        match self.session.take().filter(Session::is_reusable) {
            Some(session) => Ok(session),
            // In a box: its future is large, and is rarely needed.
            None => Box::pin(Session::open(self.pool.connections(), self.pool.0.is_for_readers)).await,
        }
    }

    /// Keeps a connection for the next statement.
    pub fn put(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// Releases the connection and the permit. A transaction that was begun for the next call goes to one that waits, or is
    /// rolled back.
    pub async fn end(mut self) {
        let Some(mut session) = self.session.take_if(|session| session.has_begun()) else { return };
        {
            let mut free = self.pool.0.free.lock();
            if self.permit.pass_on() {
                free.push(session);
                return;
            }
        }
        if let Err(error) = session.rollback().await {
            tracing::debug!(%error, "failed to roll back a transaction");
        }
        self.session = Some(session);
    }
}

impl Drop for Lease {
    /// The permit is released after that. If the connection failed, all go back to the pool, which tests them: the database may
    /// have been restarted.
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let mut free = self.pool.0.free.lock();
        if session.has_failed() {
            free.clear();
        } else if session.is_reusable() {
            free.push(session);
        }
    }
}

impl Deref for LeasedRows {
    type Target = [QueryResult];

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl Reader<'_> {
    /// Runs a statement and returns all rows, which keep its connection and its permit.
    pub async fn query_rows(&self, statement: Statement) -> Result<LeasedRows, DbErr> {
        let (rows, lease) = self.run_leased(|session| Box::pin(session.query_all(statement))).await?;
        Ok(LeasedRows { rows, _lease: lease })
    }

    /// Opens a connection for the next statement, if none is open.
    pub async fn open(&self) -> Result<(), DbErr> {
        self.run(|_| Box::pin(async { Ok(()) })).await
    }

    /// Runs a statement with a permit, which it keeps until the connection is free again.
    async fn run<T: Send + 'static>(
        &self,
        statement: impl for<'s> FnOnce(&'s mut Session) -> BoxFuture<'s, Result<T, DbErr>> + Send + 'static,
    ) -> Result<T, DbErr> {
        Ok(self.run_leased(statement).await?.0)
    }

    /// The same; returns the result with the permit and the connection.
    async fn run_leased<T: Send + 'static>(
        &self,
        statement: impl for<'s> FnOnce(&'s mut Session) -> BoxFuture<'s, Result<T, DbErr>> + Send + 'static,
    ) -> Result<(T, Lease), DbErr> {
        let lease = self.pool.lease(self.holder.as_ref(), self.timeout).await;
        let mut lease = lease.map_err(|error| error::of_statement(&error))?;
        let work = async move {
            let mut session = lease.take().await?;
            let result = statement(&mut session).await.inspect(|_| lease.pool.last_response().note());
            lease.put(session);
            result.map(|result| (result, lease))
        };
        Uninterrupted::new(&self.pool.0.tasks, work.in_current_span()).await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.connections().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(|session| Box::pin(session.execute(statement))).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = sql.to_owned();
        self.run(|session| Box::pin(async move { session.execute_unprepared(&sql).await })).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(|session| Box::pin(session.query_one(statement))).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(|session| Box::pin(session.query_all(statement))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect::ACQUIRE_TIMEOUT;
    use crate::store::target::DatabaseSettings;

    impl Pool {
        /// The writer of a new SQLite file.
        pub(in crate::store) fn of_writer(directory: &std::path::Path) -> Self {
            let url = format!("sqlite:{}", directory.join("outflow.db").display());
            let opened = connect::open(&DatabaseSettings::of_url(url, 2)).unwrap().write;
            Self::new("write", "write_connections", opened, false, &TaskTracker::new(), &LastResponse::now())
        }
    }

    #[tokio::test]
    async fn rows_keep_their_connection() {
        let directory = tempfile::tempdir().unwrap();
        let pool = Pool::of_writer(directory.path());
        let reader = pool.reader(None, ACQUIRE_TIMEOUT);
        let select = |sql: &str| reader.query_rows(Statement::from_string(DbBackend::Sqlite, sql));
        let free_and_held = || (pool.0.free.lock().len(), pool.0.permits.held());

        let rows = select("SELECT 1 UNION SELECT 2").await.unwrap();
        let values: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(values, [1, 2]);
        assert_eq!(free_and_held(), (0, 1));
        drop(rows);
        assert_eq!(free_and_held(), (1, 0));

        assert!(select("SELECT missing").await.is_err());
        assert_eq!(free_and_held(), (0, 0), "a connection that failed is not used again");
    }
}
