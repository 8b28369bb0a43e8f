//! Opens the database: PostgreSQL or SQLite by URL, with bounded pools.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use sea_orm::{DatabaseConnection, DbBackend};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::private_file;

/// Maximum wait for a connection from a pool.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// `lock_timeout` of PostgreSQL, in milliseconds.
const LOCK_TIMEOUT_MS: &str = "3000";
/// `statement_timeout` of PostgreSQL, in milliseconds.
const STATEMENT_TIMEOUT_MS: &str = "5000";
/// `idle_in_transaction_session_timeout` of PostgreSQL, in milliseconds.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: &str = "15000";
/// How often PostgreSQL checks whether the client of a running statement is still connected. Other systems than Linux
/// cannot check this.
const CHECK_CLIENT: &str =
    "SELECT set_config('client_connection_check_interval', '1s', false) WHERE version() LIKE '%linux%'";
/// How long a released connection has to respond. A statement of an aborted task may still be running on it; PostgreSQL
/// cancels it when the connection is closed.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a SQLite connection may run statements for one reader.
const SQLITE_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Instructions of SQLite between two checks of the timeout: about a millisecond.
const SQLITE_INSTRUCTIONS_PER_CHECK: i32 = 100_000;
/// How long a SQLite connection waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum age of a connection, so that a database that moved to another address is found.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Idle time after which a connection is checked before its next use.
const MAX_UNCHECKED_IDLE: Duration = Duration::from_secs(30);
/// Read connections to a SQLite file. A caller that is alone uses half of them, and four are needed for the best throughput.
const SQLITE_READERS: u32 = 8;
/// Page cache of a read connection: in KiB, because it is negative. The operating system caches the file too.
const SQLITE_READER_CACHE_SIZE: &str = "-1024";
/// Connections to PostgreSQL for background tasks, in addition to those for calls.
pub const BACKGROUND_CONNECTIONS: u32 = 2;

/// Parameters for opening a database.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite:…`. It may contain a password, so this type has no Debug.
    pub url: String,
    /// Connections to PostgreSQL for calls: half for reads, half for writes.
    pub max_connections: u32,
    /// Whether a PostgreSQL server on another host needs no verified certificate.
    pub allow_unverified: bool,
}

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
}

/// An error while opening the database; it never contains the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The scheme of the URL is not supported.
    #[error("the database URL must begin with `postgres://`, `postgresql://` or `sqlite:`")]
    UnknownScheme,
    /// The URL is malformed.
    #[error("the database URL is malformed")]
    Malformed,
    /// A SQLite database in memory would be lost with the process.
    #[error("a SQLite database must be a file, not in memory")]
    SqliteInMemory,
    /// The connection to PostgreSQL on another host could be intercepted.
    #[error(
        "the database is on another host; add `sslmode=verify-full` to its URL, with `sslrootcert` if the authority is not \
         a public one, or set `database_allow_unverified` to `true`"
    )]
    Unverified,
    /// The directory of the SQLite file cannot be created.
    #[error("cannot create the directory of the SQLite file")]
    Directory(#[source] std::io::Error),
}

/// Creates the pools. Connections are opened on demand, so a server that waits for its schema can also wait for its
/// database.
pub fn open(settings: &DatabaseSettings) -> Result<OpenedPools, ConnectError> {
    if kind(&settings.url)? == DbBackend::Sqlite { sqlite(&settings.url) } else { postgres(settings) }
}

/// Whether the settings are valid; opens nothing.
pub fn check(settings: &DatabaseSettings) -> Result<(), ConnectError> {
    if kind(&settings.url)? == DbBackend::Sqlite {
        return sqlite_options(&settings.url).map(drop);
    }
    postgres_options(settings).map(drop)
}

fn postgres_options(settings: &DatabaseSettings) -> Result<PgConnectOptions, ConnectError> {
    let options = PgConnectOptions::from_str(&settings.url).map_err(|_| ConnectError::Malformed)?;
    let host = options.get_host();
    let is_local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    if is_local || is_verified || settings.allow_unverified { Ok(options) } else { Err(ConnectError::Unverified) }
}

/// The file of a SQLite URL; `None`: the database is another one.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let is_sqlite = kind(url).ok()? == DbBackend::Sqlite;
    is_sqlite.then(|| sqlite_options(url).ok()).flatten().map(|options| options.get_filename().to_owned())
}

fn kind(url: &str) -> Result<DbBackend, ConnectError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        Ok(DbBackend::Postgres)
    } else if url.starts_with("sqlite:") {
        Ok(DbBackend::Sqlite)
    } else {
        Err(ConnectError::UnknownScheme)
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

fn postgres(settings: &DatabaseSettings) -> Result<OpenedPools, ConnectError> {
    let options = postgres_options(settings)?
        .application_name("outflow")
        .options([
            ("lock_timeout", LOCK_TIMEOUT_MS),
            ("statement_timeout", STATEMENT_TIMEOUT_MS),
            ("timezone", "UTC"),
            // The locks of a replica that has vanished are released.
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT_MS),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            // Row locks and constraints are designed for this isolation level; the default of a database may differ.
            ("default_transaction_isolation", "read committed"),
        ])
        .disable_statement_logging();
    let readers = settings.max_connections.div_ceil(2).max(1);
    let writers = (settings.max_connections / 2).max(1);
    let read = |size: u32| {
        // Reads the rest of a cancelled statement's response; sends nothing if there is none.
        let pool = postgres_pool(size).after_release(|connection, _| {
            Box::pin(with_release_timeout(async { connection.flush().await.map(|()| true) }))
        });
        OpenedPool { connections: pool.connect_lazy_with(options.clone()).into(), size }
    };
    let write = |size: u32| {
        let pool = postgres_pool(size).after_release(|connection, _| {
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
    Ok(OpenedPools {
        read: read(readers),
        write: write(writers),
        background: Some(write(BACKGROUND_CONNECTIONS)),
        readiness: read(1),
    })
}

fn postgres_pool(size: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(CHECK_CLIENT)).await.map(drop) })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                // In the last third of their lifetime connections are closed at random, not all at the same time.
                if meta.age > MAX_LIFETIME * 2 / 3 && rand::random_ratio(1, 50) {
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

fn sqlite_options(url: &str) -> Result<SqliteConnectOptions, ConnectError> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| ConnectError::Malformed)?;
    if url.contains(":memory:") || url.contains("mode=memory") || options.get_filename().as_os_str().is_empty() {
        return Err(ConnectError::SqliteInMemory);
    }
    Ok(options)
}

fn sqlite(url: &str) -> Result<OpenedPools, ConnectError> {
    let options = sqlite_options(url)?;
    if let Some(directory) = options.get_filename().parent() {
        private_file::make_directory(directory).map_err(ConnectError::Directory)?;
    }
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("secure_delete", "ON") // deleted content is overwritten
        .disable_statement_logging();
    let pool = |size: u32| SqlitePoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT);
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
    let read: SqlitePool = pool(SQLITE_READERS)
        .after_connect(|connection, _| Box::pin(limit_statements(connection)))
        .before_acquire(|connection, _| Box::pin(async move { limit_statements(connection).await.map(|()| true) }))
        .connect_lazy_with(read_options);
    let readiness: SqlitePool = pool(1).connect_lazy_with(options);
    Ok(OpenedPools {
        read: OpenedPool { connections: read.into(), size: SQLITE_READERS },
        write: OpenedPool { connections: write.into(), size: 1 },
        background: None,
        readiness: OpenedPool { connections: readiness.into(), size: 1 },
    })
}

/// Ends the statements of a SQLite connection that are still running after 5 s, also those of cancelled calls.
async fn limit_statements(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let end = Instant::now() + SQLITE_READ_TIMEOUT;
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(SQLITE_INSTRUCTIONS_PER_CHECK, move || Instant::now() < end);
    Ok(())
}
