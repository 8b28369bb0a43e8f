//! Opens the database: PostgreSQL or SQLite by URL, a pool to read and a pool to write, each bounded.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::private_file;

/// How long a call waits for a connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement waits for a row.
const LOCK_TIMEOUT_MS: &str = "3000";
/// How long a statement runs.
const STATEMENT_TIMEOUT_MS: &str = "5000";
/// How long a statement is waited for: longer than it runs on a database that can be reached.
const CLIENT_STATEMENT_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a connection that is given back has to answer: a statement that its caller has left may still run.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(6);
/// How long SQLite's one writer waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection lives, so that a moved database is found again.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Readers of an SQLite file.
const SQLITE_READERS: u32 = 4;

/// What to open.
#[derive(Clone)]
pub struct DatabaseSettings {
    /// `postgres://…` or `sqlite:…`; it may hold a password, so this type has no Debug.
    pub url: String,
    /// Connections to PostgreSQL, readers and writers together.
    pub max_connections: u32,
}

/// The two pools, with the number of their connections.
pub struct Pools {
    /// For single statements that change nothing.
    pub read: (DatabaseConnection, u32),
    /// For transactions.
    pub write: (DatabaseConnection, u32),
}

/// Why the database could not be opened; it never holds the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL names no database that is known here.
    #[error("the database URL must begin with `postgres://`, `postgresql://` or `sqlite:`")]
    UnknownScheme,
    /// The URL is malformed.
    #[error("the database URL is malformed")]
    Malformed,
    /// SQLite files cannot be shared by several processes over a network; in memory nothing would last.
    #[error("an SQLite database must be a file")]
    SqliteInMemory,
    /// The directory of the SQLite file cannot be made.
    #[error("cannot make the directory of the SQLite file: {0}")]
    Directory(#[source] std::io::Error),
}

/// Makes the pools; connections are opened as they are needed, so that a server that waits for its schema can wait for its
/// database too.
pub fn open(settings: &DatabaseSettings) -> Result<Pools, ConnectError> {
    if kind(&settings.url)? == DbBackend::Sqlite { sqlite(&settings.url) } else { postgres(settings) }
}

/// Whether a URL names a database that is known here; nothing is opened.
pub fn check_url(url: &str) -> Result<(), ConnectError> {
    if kind(url)? == DbBackend::Sqlite {
        return sqlite_options(url).map(drop);
    }
    PgConnectOptions::from_str(url).map(drop).map_err(|_| ConnectError::Malformed)
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

/// Waits for the database, but not for ever: a PostgreSQL that vanished without a word answers nothing, and no timeout of
/// its own ends the statement. SQLite is no further away than its file.
pub async fn with_client_timeout<T>(backend: DbBackend, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    if backend == DbBackend::Sqlite {
        return answer.await;
    }
    let silent = |_| Err(DbErr::Conn(RuntimeErr::Internal("the database does not answer".to_owned())));
    tokio::time::timeout(CLIENT_STATEMENT_TIMEOUT, answer).await.unwrap_or_else(silent)
}

fn postgres(settings: &DatabaseSettings) -> Result<Pools, ConnectError> {
    let options = PgConnectOptions::from_str(&settings.url)
        .map_err(|_| ConnectError::Malformed)?
        .application_name("outflow")
        .options([
            ("lock_timeout", LOCK_TIMEOUT_MS),
            ("statement_timeout", STATEMENT_TIMEOUT_MS),
            ("timezone", "UTC"),
            // Row locks and constraints are made for it; a database may have another default.
            ("default_transaction_isolation", "read committed"),
        ])
        .disable_statement_logging();
    let readers = settings.max_connections.div_ceil(2).max(1);
    let writers = (settings.max_connections / 2).max(1);
    let pool = |size: u32| {
        PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Spread by the size of the pool, so that not all are renewed at once.
            .max_lifetime(MAX_LIFETIME.mul_f64(0.8 + 0.4 * f64::from(size % 7) / 7.0))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    // A round trip only for those that idled long enough to have been cut off unseen.
                    if meta.idle_for > Duration::from_secs(30) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
    };
    let write: PgPool = pool(writers)
        .after_release(|connection, _| {
            Box::pin(in_time(async move {
                // Outside a transaction the two times are one; inside, the statement is later; in a failed one it is
                // an error. Whoever took the connection next would go on inside that transaction.
                let row = connection.fetch_one(sqlx::raw_sql("SELECT now() = statement_timestamp()")).await?;
                sqlx::Row::try_get::<bool, _>(&row, 0)
            }))
        })
        .connect_lazy_with(options.clone());
    let read: PgPool = pool(readers)
        // What is still to come of a statement that nobody waited for comes now; without one there is nothing to ask.
        .after_release(|connection, _| Box::pin(in_time(async { connection.flush().await.map(|()| true) })))
        .connect_lazy_with(options);
    Ok(Pools { read: (read.into(), readers), write: (write.into(), writers) })
}

/// What is asked of a connection on its way back to its pool; one that does not answer is closed, and its place is free.
async fn in_time(answer: impl Future<Output = Result<bool, sqlx::Error>>) -> Result<bool, sqlx::Error> {
    tokio::time::timeout(RELEASE_TIMEOUT, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

fn sqlite_options(url: &str) -> Result<SqliteConnectOptions, ConnectError> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| ConnectError::Malformed)?;
    if url.contains(":memory:") || url.contains("mode=memory") || options.get_filename().as_os_str().is_empty() {
        return Err(ConnectError::SqliteInMemory);
    }
    Ok(options)
}

fn sqlite(url: &str) -> Result<Pools, ConnectError> {
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
        .pragma("secure_delete", "ON") // what is erased is overwritten
        .disable_statement_logging();
    let pool = |size: u32| SqlitePoolOptions::new().max_connections(size).acquire_timeout(ACQUIRE_TIMEOUT);
    let write: SqlitePool = pool(1)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Fails, and rightly so, where no transaction is open.
                let _ = connection.execute(sqlx::raw_sql("ROLLBACK")).await;
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone());
    let read: SqlitePool = pool(SQLITE_READERS).connect_lazy_with(options);
    Ok(Pools { read: (read.into(), SQLITE_READERS), write: (write.into(), 1) })
}
