//! Checks the first connection to PostgreSQL outside of the pool, which would retry and then say that it timed out, and
//! recognises poolers that break what sessions keep.

use std::io;
use std::time::Duration;

use rand::RngExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::diagnosis::{self, NO_TRANSACTION_POOLING};
use super::settings::{PostgresSettings, guard_statement};
use crate::model::Pooler;

/// How long a server has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the statements of the check may take; a pooler may have no second connection.
const STATEMENTS_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no session of PostgreSQL can be used; it says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The server cannot be reached, or refuses the connection.
    #[error("database: {0}")]
    Connection(String),
    /// A pooler breaks what sessions keep. It does so until the settings change.
    #[error("database: {0}")]
    Pooler(String),
}

/// Connects, and checks that sessions keep what they are told.
pub async fn check_connection(settings: &PostgresSettings, pooler: Pooler) -> Result<(), CheckError> {
    for file in settings.files() {
        let readable = tokio::fs::File::open(file).await;
        readable.map_err(|error| CheckError::Connection(format!("cannot read {}: {error}", file.display())))?;
    }
    let options = settings.connect_options(pooler);
    // Side by side: it takes half the time.
    let (mut first, second) = match tokio::join!(connect(&options), connect(&options)) {
        (Ok(first), second) => (first, second),
        (Err(error), Ok(second)) => (second, Err(error)),
        (Err(_), Err(error)) if diagnosis::is_of_pooler(&error) => return Err(failure(&error, settings)),
        (Err(error), Err(_)) => return Err(failure(&error, settings)),
    };
    let timed_out = |_| CheckError::Connection(diagnosis::no_response(settings));
    let check = check_session(&mut first, second, settings, pooler);
    let kept = tokio::time::timeout(STATEMENTS_TIMEOUT, check).await.map_err(timed_out)?;
    // A server that does not read the message notices the end of the connection.
    let _ = tokio::time::timeout(STATEMENTS_TIMEOUT, first.close()).await;
    match kept.map_err(|error| failure(&error, settings))? {
        Session::Kept => Ok(()),
        Session::Alone(refusal) => Err(CheckError::Connection(refusal)),
        Session::ReadOnly => Err(CheckError::Connection(format!(
            "the server at {} is a read replica, which accepts no changes; use the address of the primary",
            diagnosis::place(&settings.address)
        ))),
        Session::Shared => Err(CheckError::Pooler(NO_TRANSACTION_POOLING.to_owned())),
        Session::Unguarded => Err(CheckError::Pooler(
            "a pooler ignores the start-up parameters that limit statements and locks; set `database_pooler = \"session\"` \
             if it gives each client a server connection of its own, else connect to PostgreSQL itself"
                .to_owned(),
        )),
    }
}

enum Session {
    Kept,
    /// Another client had the same server connection.
    Shared,
    /// The timeouts are not set.
    Unguarded,
    /// The server permits no second connection, and what it says.
    Alone(String),
    /// The server accepts no writes.
    ReadOnly,
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let timed_out = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
    tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await.unwrap_or_else(timed_out)
}

fn failure(error: &sqlx::Error, settings: &PostgresSettings) -> CheckError {
    let explained = diagnosis::explain(error, settings);
    if diagnosis::is_of_pooler(error) { CheckError::Pooler(explained) } else { CheckError::Connection(explained) }
}

/// A second client, which begins a transaction, must not see a setting of the first one's session.
async fn check_session(
    first: &mut PgConnection,
    second: Result<PgConnection, sqlx::Error>,
    settings: &PostgresSettings,
    pooler: Pooler,
) -> Result<Session, sqlx::Error> {
    let recovery = first.fetch_one(sqlx::raw_sql("SELECT pg_is_in_recovery()")).await?;
    if recovery.try_get::<bool, _>(0)? {
        return Ok(Session::ReadOnly);
    }
    let mark = format!("{:032x}", rand::rng().random::<u128>());
    if pooler == Pooler::Session {
        first.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(guard_statement()))).await?;
    }
    let mark_session = format!("SELECT set_config('outflow.session', '{mark}', false)");
    first.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(mark_session))).await?;
    let mut second = match second {
        Ok(second) => second,
        // Every pool needs connections.
        Err(error) if is_limit(&error) => return Ok(Session::Alone(diagnosis::explain(&error, settings))),
        // The first client was accepted, so the settings are right. A pooler may have no second connection.
        Err(_) => return Ok(Session::Kept),
    };
    second.execute(sqlx::raw_sql("BEGIN")).await?;
    let seen_by_second = session_mark(&mut second).await?;
    let guards = first.fetch_one(sqlx::raw_sql("SELECT current_setting('lock_timeout')")).await?;
    let seen_by_first = session_mark(first).await?;
    second.execute(sqlx::raw_sql("ROLLBACK")).await?;
    second.close().await?;
    let is_guarded = guards.try_get::<String, _>(0)? == "3s";
    Ok(if seen_by_second.as_deref() == Some(&mark) || seen_by_first.as_deref() != Some(&mark) {
        Session::Shared
    } else if is_guarded {
        Session::Kept
    } else {
        Session::Unguarded
    })
}

/// Whether the limit of connections of the server, the database or the role is reached.
fn is_limit(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|refusal| refusal.code().as_deref() == Some("53300"))
}

async fn session_mark(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let row = connection.fetch_one(sqlx::raw_sql("SELECT current_setting('outflow.session', true)")).await?;
    row.try_get(0)
}
