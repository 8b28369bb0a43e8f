//! An open database: pools for reads, for writes and for background tasks, each bounded by permits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::connect::{self, ACQUIRE_TIMEOUT, OpenedPool};
use super::error;
use super::postgres::{CheckError, PostgresSettings, check_connection};
use super::query::expressions::availability_sql;
use super::query::scope::ReadContext;
use super::session::Session;
use super::target::{ConnectError, DatabaseSettings};
use super::uninterrupted::Uninterrupted;
use crate::fair_share::{FairShare, Share};
use crate::model::{Caller, Clock, Error, Pooler, Result, Unavailable};

/// How long a stream waits for a permit to read its next page.
const STREAM_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
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
    readiness: Pool,
    read_context: ReadContext,
    /// Transactions and reads.
    tasks: TaskTracker,
    /// The server whose first connection is checked, and what is in front of it; `None` for SQLite.
    server: Option<(PostgresSettings, Pooler)>,
    /// Set once that check has succeeded.
    checked: OnceCell<()>,
}

/// A connection pool with as many permits as connections.
#[derive(Clone)]
pub(super) struct Pool {
    name: &'static str,
    connections: DatabaseConnection,
    is_for_readers: bool,
    /// Open connections that no permit uses. There are never more than permits.
    free: Arc<Mutex<Vec<Session>>>,
    permits: FairShare,
    size: u32,
    tasks: TaskTracker,
    last_response: LastResponse,
    wait_time: metrics::Histogram,
}

/// When the database responded last, on a connection of any pool.
#[derive(Clone)]
pub(super) struct LastResponse(Arc<Mutex<Instant>>);

/// Reads from a pool. Each statement acquires a permit, which is released when the statement has ended, even if its call was
/// cancelled: what is done with the rows needs no connection.
pub struct Reader<'a> {
    pool: &'a Pool,
    holder: Option<Arc<Caller>>,
    /// How long a statement waits for its permit.
    timeout: Duration,
}

/// A permit, and an open connection for its statements.
pub(super) struct Lease {
    session: Option<Session>,
    pool: DatabaseConnection,
    is_reader: bool,
    free: Arc<Mutex<Vec<Session>>>,
    permit: Share,
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

impl Store {
    /// Opens the database. Connections are opened on demand; the schema is not changed.
    ///
    /// `known_types` are the connection types of the catalog; connections of other types are not usable.
    pub fn open(settings: &DatabaseSettings, known_types: Vec<String>, clock: Clock) -> Result<Self, ConnectError> {
        let opened = connect::open(settings)?;
        let last_response = LastResponse(Arc::new(Mutex::new(Instant::now())));
        let tasks = TaskTracker::new();
        let pool = |name, permits, opened: OpenedPool, is_for_readers| {
            metrics::counter!(POOL_TIMEOUTS, POOL_NAME => name).increment(0);
            let size = u64::from(opened.size);
            // What a caller that is alone can use. Readers need the processor, so more of them are not faster. Writers wait for
            // the disk; the quarter that is left is the share of the next organization.
            let unshared = if is_for_readers { size.div_ceil(2) } else { size - size.div_ceil(4) };
            Pool {
                name,
                connections: opened.connections,
                is_for_readers,
                free: Arc::default(),
                permits: FairShare::in_turns(permits, size, unshared),
                size: opened.size,
                tasks: tasks.clone(),
                last_response: last_response.clone(),
                wait_time: metrics::histogram!("db.client.connection.wait_time", POOL_NAME => name),
            }
        };
        let availability = availability_sql(opened.read.connections.get_database_backend(), &known_types);
        let read = pool("read", "read_connections", opened.read, true);
        let write = pool("write", "write_connections", opened.write, false);
        let background = opened.background.map(|opened| pool("background", "background_connections", opened, false));
        Ok(Self(Arc::new(Inner {
            background_read: background.clone().unwrap_or_else(|| read.clone()),
            background_write: background.unwrap_or_else(|| write.clone()),
            read,
            write,
            readiness: pool("readiness", "readiness_connections", opened.readiness, false),
            read_context: ReadContext {
                availability: availability.into(),
                known_types: known_types.into(),
                clock,
                texts: Arc::default(),
            },
            tasks,
            server: opened.server,
            checked: OnceCell::new(),
        })))
    }

    /// Checks the first connection to PostgreSQL once; errors say what to do.
    pub(super) async fn check_connection(&self) -> Result<(), CheckError> {
        let check = async {
            match &self.0.server {
                Some((server, pooler)) => Box::pin(check_connection(server, *pooler)).await,
                None => Ok(()),
            }
        };
        self.0.checked.get_or_try_init(|| check).await.copied()
    }

    /// Reads for a caller or for the service itself. A statement that waits for 3 s fails with RESOURCE_EXHAUSTED.
    pub fn reader(&self, holder: Option<&Arc<Caller>>) -> Reader<'_> {
        self.0.read.reader(holder, ACQUIRE_TIMEOUT)
    }

    /// The same for a stream, which can wait.
    pub fn stream_reader(&self, holder: Option<&Arc<Caller>>) -> Reader<'_> {
        self.0.read.reader(holder, STREAM_ACQUIRE_TIMEOUT)
    }

    /// Reads for a background task: from its own pool on PostgreSQL, from the read pool on SQLite.
    pub fn background_reader(&self) -> Reader<'_> {
        self.0.background_read.reader(None, ACQUIRE_TIMEOUT)
    }

    /// Reads for readiness checks, on a connection of their own.
    pub(super) fn readiness_reader(&self) -> Reader<'_> {
        self.0.readiness.reader(None, ACQUIRE_TIMEOUT)
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
        let reader = self.readiness_reader();
        let sql = if self.backend() == DbBackend::Postgres {
            "SELECT NOT pg_is_in_recovery() AS ready"
        } else {
            "SELECT 1 AS ready"
        };
        let row = reader.query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        Ok(row.is_some_and(|row| row.try_get::<bool>("", "ready").unwrap_or(false)))
    }

    /// Returns connections that have been open for half a minute and are not in use to the pools of sqlx, which test them.
    pub fn return_idle_connections(&self) {
        for pool in [&self.0.read, &self.0.write, &self.0.background_read, &self.0.background_write, &self.0.readiness]
        {
            pool.return_old();
        }
    }

    /// Waits until all transactions and reads have ended.
    pub async fn shutdown(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Current usage of the pools.
    pub fn pools(&self) -> Vec<PoolStatus> {
        let pools = [&self.0.read, &self.0.write, &self.0.background_write, &self.0.readiness];
        let mut statuses: Vec<_> = pools.into_iter().map(Pool::status).collect();
        statuses.dedup_by_key(|status| status.name);
        statuses
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn write_pool(&self) -> &Pool {
        &self.0.write
    }

    pub(super) fn background_write_pool(&self) -> &Pool {
        &self.0.background_write
    }
}

impl LastResponse {
    /// Notes a response.
    pub(super) fn note(&self) {
        *self.0.lock() = Instant::now();
    }

    fn is_after(&self, time: Instant) -> bool {
        *self.0.lock() >= time
    }
}

impl Pool {
    pub(super) fn connections(&self) -> &DatabaseConnection {
        &self.connections
    }

    pub(super) fn last_response(&self) -> &LastResponse {
        &self.last_response
    }

    /// Acquires a permit; calls wait as long as for a connection. A permit guarantees a free slot in the pool, so a
    /// timeout of the pool itself nearly always means that the database does not respond. If no other call had a response
    /// either, the error is UNAVAILABLE.
    pub(super) async fn acquire_permit(&self, holder: Option<&Arc<Caller>>, timeout: Duration) -> Result<Share> {
        let started = Instant::now();
        let permit = self.permits.acquire(holder, 1, timeout).await;
        self.wait_time.record(started.elapsed());
        permit.map_err(|refused| {
            metrics::counter!(POOL_TIMEOUTS, POOL_NAME => self.name).increment(1);
            if self.last_response.is_after(started) { refused } else { Error::Unavailable(Unavailable::Database) }
        })
    }

    /// Whether a call waits for a permit.
    pub(super) fn has_waiting(&self) -> bool {
        self.permits.has_waiting()
    }

    fn reader(&self, holder: Option<&Arc<Caller>>, timeout: Duration) -> Reader<'_> {
        Reader { pool: self, holder: holder.cloned(), timeout }
    }

    /// Acquires a permit, with an open connection if there is one.
    pub(super) async fn lease(&self, holder: Option<&Arc<Caller>>, timeout: Duration) -> Result<Lease> {
        let permit = self.acquire_permit(holder, timeout).await?;
        let session = {
            let mut free = self.free.lock();
            // First those on which a transaction has begun for a call that waited.
            let begun = free.iter().position(Session::has_begun);
            begun.map(|index| free.swap_remove(index)).or_else(|| free.pop())
        };
        let (pool, free) = (self.connections.clone(), Arc::clone(&self.free));
        Ok(Lease { session, pool, is_reader: self.is_for_readers, free, permit })
    }

    /// Returns the connections that no permit uses to the pool.
    pub(super) fn return_idle(&self) {
        self.free.lock().clear();
    }

    /// The same for those that are old.
    fn return_old(&self) {
        self.free.lock().retain(Session::is_reusable);
    }

    fn status(&self) -> PoolStatus {
        let (open, idle) = connect::open_and_idle(&self.connections);
        let idle = idle + u32::try_from(self.free.lock().len()).unwrap_or(u32::MAX);
        PoolStatus { name: self.name, max: self.size, idle, used: open.saturating_sub(idle) }
    }
}

impl Lease {
    /// Takes the connection, or opens another one if there is none or it is too old.
    pub(super) async fn take(&mut self) -> Result<Session, DbErr> {
        match self.session.take().filter(Session::is_reusable) {
            Some(session) => Ok(session),
            // In a box: its future is large, and is rarely needed.
            None => Box::pin(Session::open(&self.pool, self.is_reader)).await,
        }
    }

    /// Keeps a connection for the next statement.
    pub(super) fn put(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// Releases the connection and the permit. A transaction that was begun for the next call goes to one that waits, or is
    /// rolled back.
    pub(super) async fn end(mut self) {
        let Some(mut session) = self.session.take_if(|session| session.has_begun()) else { return };
        {
            let mut free = self.free.lock();
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
        let mut free = self.free.lock();
        if session.has_failed() {
            free.clear();
        } else if session.is_reusable() {
            free.push(session);
        }
    }
}

impl Reader<'_> {
    /// Runs a statement with a permit, which it keeps until the connection is free again.
    async fn run<T: Send + 'static>(
        &self,
        statement: impl for<'s> FnOnce(&'s mut Session) -> BoxFuture<'s, Result<T, DbErr>> + Send + 'static,
    ) -> Result<T, DbErr> {
        let lease = self.pool.lease(self.holder.as_ref(), self.timeout).await;
        let (mut lease, last_response) =
            (lease.map_err(|error| error::of_statement(&error))?, self.pool.last_response.clone());
        let work = async move {
            let mut session = lease.take().await?;
            let result = statement(&mut session).await.inspect(|_| last_response.note());
            lease.put(session);
            result
        };
        Uninterrupted::new(&self.pool.tasks, work.in_current_span()).await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.connections.get_database_backend()
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
