//! Connections to a source, each with one read-only transaction.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Timeout of a connection attempt, up to the start of the transaction.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects, and begins a transaction that sees one snapshot.
pub async fn open(options: &PgConnectOptions, statement_timeout: Duration) -> Result<PgConnection, DeliveryError> {
    // SET LOCAL instead of startup parameters, which poolers refuse.
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}; \
         SET LOCAL lock_timeout = 5000; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL timezone = 'UTC'; \
         SET LOCAL search_path = ''",
        statement_timeout.as_millis()
    );
    let connect = async {
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut connection).await?;
        Ok(connection)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
        Ok(connected) => connected.map_err(|error| failed("cannot connect to the source", &error)),
        Err(elapsed) => {
            Err(DeliveryError::with(FailureCode::DatasetUnavailable, "cannot connect to the source", elapsed))
        }
    }
}

/// Closes a connection; the end of its transaction is of no interest.
pub async fn close(connection: PgConnection) {
    let _ = tokio::time::timeout(CONNECT_TIMEOUT, connection.close()).await;
}

/// The error of a statement, without the text of the server.
pub fn failed(doing: &str, error: &sqlx::Error) -> DeliveryError {
    let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    match code {
        // An undefined table or column: it was removed after the listing.
        Some(code) if code == "42P01" || code == "42703" => {
            DeliveryError::with(FailureCode::SourceChanged, doing, format_args!("SQLSTATE {code}"))
        }
        Some(code) => DeliveryError::with(FailureCode::DatasetUnavailable, doing, format_args!("SQLSTATE {code}")),
        None => DeliveryError::with(FailureCode::DatasetUnavailable, doing, describe(error)),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not exhaustive")]
fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(_) => "TLS could not be established, or the certificate is not trusted".to_owned(),
        sqlx::Error::Protocol(_) => "the response is invalid".to_owned(),
        _ => "the connection failed".to_owned(),
    }
}
