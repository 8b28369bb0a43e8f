//! An open database: pools for reads, for writes and for background tasks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use super::connect::{self, ACQUIRE_TIMEOUT};
use super::pool::{LastResponse, Pool, PoolStatus, Reader};
use super::postgres::{CheckError, PostgresSettings, check_connection};
use super::query::expressions::availability_sql;
use super::query::scope::ReadContext;
use super::target::{ConnectError, DatabaseSettings};
use crate::model::{Caller, Clock, Pooler, Result};

/// How long a stream waits for a permit to read its next page.
const STREAM_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

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

impl Store {
    /// Opens the database. Connections are opened on demand; the schema is not changed.
    ///
    /// `known_types` are the connection types of the catalog; connections of other types are not usable.
    pub fn open(settings: &DatabaseSettings, known_types: Vec<String>, clock: Clock) -> Result<Self, ConnectError> {
        let opened = connect::open(settings)?;
        let (tasks, last_response) = (TaskTracker::new(), LastResponse::now());
        let pool = |name, permits, opened, is_for_readers| {
            Pool::new(name, permits, opened, is_for_readers, &tasks, &last_response)
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

    /// Checks the first connection to PostgreSQL, then opens those that the start of a server needs, side by side: with TLS each
    /// waits for delayed acknowledgements, since the driver does not set TCP_NODELAY.
    pub async fn connect(&self) -> Result<(), CheckError> {
        self.check_connection().await?;
        if self.0.server.is_some() {
            let readers = [self.reader(None), self.background_reader(), self.readiness_reader()];
            // A statement whose connection was not opened tries again.
            join_all(readers.iter().map(Reader::open)).await;
        }
        Ok(())
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
        self.0.write.connections().get_database_backend()
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
