//! Opens the database: PostgreSQL or SQLite by URL, with bounded pools.

use std::time::Duration;

use sea_orm::{DatabaseConnection, DbBackend};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::postgres::{self, PostgresSettings};
use super::target::{ConnectError, DatabaseSettings, Target};
use crate::model::Pooler;
use crate::private_file;

/// Maximum wait for a connection from a pool.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// The same for SQLite, as long as the longest unary call. Permits guarantee a free slot, and a file responds: only a process
/// without enough CPU time has to wait.
const SQLITE_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often PostgreSQL checks whether the client of a running statement is still connected. Other systems than Linux
/// cannot check this.
const CHECK_CLIENT: &str =
    "SELECT set_config('client_connection_check_interval', '1s', false) WHERE version() LIKE '%linux%'";
/// How long a released connection has to respond. A statement of an aborted task may still be running on it; PostgreSQL
/// cancels it when the connection is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a SQLite connection waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum age of a connection, so that a database that moved to another address is found.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Idle time after which a connection is checked before its next use.
const MAX_UNCHECKED_IDLE: Duration = Duration::from_secs(30);
/// Read connections to a SQLite file. A caller that is alone uses half of them, and four are needed for the best throughput.
const SQLITE_READERS: u32 = 8;
/// How long a read connection is kept that is not needed. What its thread allocated for rows is returned when the thread ends.
const SQLITE_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Page cache of a read connection: in KiB, because it is negative. The operating system caches the file too.
const SQLITE_READER_CACHE_SIZE: &str = "-1024";
/// Rows that a SQLite connection reads ahead. Its thread waits when it has read more than are taken.
const SQLITE_ROW_BUFFER: usize = 512;
/// Connections to PostgreSQL for background tasks, in addition to those for calls.
pub const BACKGROUND_CONNECTIONS: u32 = 2;

/// A pool that opens connections on demand.
pub struct OpenedPool {
    /// The pool.
    pub connections: DatabaseConnection,
    /// Maximum number of connections.
    pub size: u32,
}

/// The pools of a database.
pub struct OpenedPools {
    /// For single read-only statements.
    pub read: OpenedPool,
    /// For transactions of calls.
    pub write: OpenedPool,
    /// For background tasks; `None` for SQLite, which has one writer.
    pub background: Option<OpenedPool>,
    /// One connection for readiness checks, which must not wait for calls.
    pub readiness: OpenedPool,
    /// The server that the first connection is checked with; `None` for SQLite.
    pub server: Option<(PostgresSettings, Pooler)>,
}

/// Creates the pools. Connections are opened on demand, so a server that waits for its schema can also wait for its
/// database.
pub fn open(settings: &DatabaseSettings) -> Result<OpenedPools, ConnectError> {
    match Target::parse(settings)? {
        Target::Sqlite(options) => sqlite(options),
        Target::Postgres(target) => Ok(postgres(target, settings)),
    }
}

/// Number of open connections of a pool, and how many of them are idle.
pub fn open_and_idle(connections: &DatabaseConnection) -> (u32, u32) {
    let (open, idle) = if connections.get_database_backend() == DbBackend::Sqlite {
        let pool = connections.get_sqlite_connection_pool();
        (pool.size(), pool.num_idle())
    } else {
        let pool = connections.get_postgres_connection_pool();
        (pool.size(), pool.num_idle())
    };
    (open, u32::try_from(idle).unwrap_or(u32::MAX))
}

fn postgres(target: PostgresSettings, settings: &DatabaseSettings) -> OpenedPools {
    let (options, pooler) = (target.connect_options(settings.pooler), settings.pooler);
    let readers = settings.max_connections.div_ceil(2).max(1);
    let writers = (settings.max_connections / 2).max(1);
    let read = |size: u32| {
        // Reads the rest of a cancelled statement's response; sends nothing if there is none.
        let pool = postgres_pool(size, pooler).after_release(|connection, _| {
            Box::pin(with_release_timeout(async { connection.flush().await.map(|()| true) }))
        });
        OpenedPool { connections: pool.connect_lazy_with(options.clone()).into(), size }
    };
    let write = |size: u32| {
        let pool = postgres_pool(size, pooler).after_release(|connection, _| {
            Box::pin(with_release_timeout(async move {
                // Outside of a transaction the two times are equal; inside, the statement time is later; in a failed
                // transaction the query fails. The next user of the connection would otherwise continue inside that
                // transaction.
                let row = connection.fetch_one(sqlx::raw_sql("SELECT now() = statement_timestamp()")).await?;
                sqlx::Row::try_get::<bool, _>(&row, 0)
            }))
        });
        OpenedPool { connections: pool.connect_lazy_with(options.clone()).into(), size }
    };
    OpenedPools {
        read: read(readers),
        write: write(writers),
        background: Some(write(BACKGROUND_CONNECTIONS)),
        readiness: read(1),
        server: Some((target, pooler)),
    }
}

fn postgres_pool(size: u32, pooler: Pooler) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if pooler == Pooler::Session {
                    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(postgres::guard_statement()))).await?;
                }
                connection.execute(sqlx::raw_sql(CHECK_CLIENT)).await.map(drop)
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // In the last third of their lifetime connections are closed at random, not all at the same time. They are
                // acquired about every 30 s.
                if meta.age > MAX_LIFETIME * 2 / 3 && rand::random_ratio(1, 10) {
                    return Ok(false);
                }
                // A round trip only for connections that were idle long enough to have been dropped unnoticed.
                if meta.idle_for > MAX_UNCHECKED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// Closes a released connection that does not respond in time, so that the pool can replace it.
async fn with_release_timeout(release: impl Future<Output = Result<bool, sqlx::Error>>) -> Result<bool, sqlx::Error> {
    tokio::time::timeout(RELEASE_TIMEOUT, release).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn sqlite(options: SqliteConnectOptions) -> Result<OpenedPools, ConnectError> {
    if let Some(directory) = options.get_filename().parent() {
        private_file::make_directory(directory).map_err(ConnectError::Directory)?;
    }
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(SQLITE_ROW_BUFFER)
        .pragma("secure_delete", "ON") // deleted content is overwritten
        .disable_statement_logging();
    let pool = |size: u32| SqlitePoolOptions::new().max_connections(size).acquire_timeout(SQLITE_ACQUIRE_TIMEOUT);
    let write: SqlitePool = pool(1)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Fails if no transaction is open, which is the normal case.
                let _ = connection.execute(sqlx::raw_sql("ROLLBACK")).await;
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone());
    let read_options = options.clone().pragma("cache_size", SQLITE_READER_CACHE_SIZE);
    let read: SqlitePool = pool(SQLITE_READERS).idle_timeout(SQLITE_IDLE_TIMEOUT).connect_lazy_with(read_options);
    let readiness: SqlitePool = pool(1).connect_lazy_with(options);
    Ok(OpenedPools {
        read: OpenedPool { connections: read.into(), size: SQLITE_READERS },
        write: OpenedPool { connections: write.into(), size: 1 },
        background: None,
        readiness: OpenedPool { connections: readiness.into(), size: 1 },
        server: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sqlite_is_compiled_with_the_flags_of_the_cargo_configuration() {
        let database = SqlitePool::connect("sqlite::memory:").await.unwrap();
        let options: Vec<String> = sqlx::query_scalar("PRAGMA compile_options").fetch_all(&database).await.unwrap();
        let has = |option: &str| options.iter().any(|known| known == option);
        assert!(has("DEFAULT_MEMSTATUS=0") && !has("ENABLE_MEMORY_MANAGEMENT") && has("ENABLE_QPSG"), "{options:?}");
    }
}
