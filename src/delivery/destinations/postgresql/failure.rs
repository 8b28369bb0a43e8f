//! What errors of the connection and of the server mean for a run.
//!
//! No text of the server is used: messages and details of PostgreSQL contain values of rows.

use std::io;

use sqlx::postgres::PgDatabaseError;
use tokio_rustls::rustls;

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// The longest cause in a detail, in characters.
const MAX_CAUSE_CHARS: usize = 300;
/// The SQLSTATE of a wait that `lock_timeout` ended.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A failure of TLS.
pub(super) fn tls_failed(doing: &str, cause: &dyn std::fmt::Display) -> DeliveryError {
    let cause: String = cause.to_string().chars().take(MAX_CAUSE_CHARS).collect();
    DeliveryError::with(FailureCode::TlsFailed, doing, cause)
}

/// An error of the network or of TLS.
pub(super) fn of_io(doing: &str, error: &io::Error) -> DeliveryError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error) => tls_failed(doing, error),
        None => DeliveryError::with(FailureCode::DestinationUnreachable, doing, error),
    }
}

/// An error of a statement. `names` are the columns and constraints that a detail may show.
pub(super) fn of_sqlx(doing: &str, error: &sqlx::Error, names: &[String]) -> DeliveryError {
    if let Some(error) = error.as_database_error() {
        let error = error.try_downcast_ref::<PgDatabaseError>();
        return error.map_or_else(
            || DeliveryError::new(FailureCode::Internal, format!("{doing}: not an error of PostgreSQL")),
            |error| of_server(doing, error, names),
        );
    }
    if let sqlx::Error::Io(error) = error {
        return of_io(doing, error);
    }
    if matches!(error, sqlx::Error::Protocol(_)) {
        return DeliveryError::new(FailureCode::DestinationUnreachable, format!("{doing}: an unexpected message"));
    }
    DeliveryError::new(FailureCode::Internal, format!("{doing}: an unexpected error of the client"))
}

/// An error of the statement that inserts the row of the run. If another session holds it, that is an attempt that lost its
/// lease and did not end.
pub(super) fn of_ledger(doing: &str, error: &sqlx::Error) -> DeliveryError {
    let mut failure = of_sqlx(doing, error, &[]);
    if error.as_database_error().is_some_and(|error| error.code().is_some_and(|state| state == LOCK_NOT_AVAILABLE)) {
        failure.code = FailureCode::LeaseLost;
    }
    failure
}

/// An error that the server sent.
fn of_server(doing: &str, error: &PgDatabaseError, names: &[String]) -> DeliveryError {
    let state: String = error.code().chars().filter(char::is_ascii_alphanumeric).take(5).collect();
    let mut detail = format!("{doing}: SQLSTATE {state}");
    let known = |name: Option<&str>| names.iter().find(|known| Some(known.as_str()) == name);
    let of_copy = || error.r#where().and_then(|context| column_of_copy(context, names));
    if let Some(column) = known(error.column()).or_else(of_copy) {
        detail = format!("{detail}, column {column}");
    }
    if let Some(constraint) = known(error.constraint()) {
        detail = format!("{detail}, constraint {constraint}");
    }
    DeliveryError::new(code(&state), detail)
}

/// The column in the context of a COPY: `COPY t, line 1, column c: "value"`. Only a known name is returned.
fn column_of_copy<'a>(context: &str, names: &'a [String]) -> Option<&'a String> {
    let before_value = context.split(": ").next()?;
    let mut found: Vec<_> = names.iter().filter(|name| before_value.ends_with(&format!(" {name}"))).collect();
    found.sort_by_key(|name| name.len());
    found.pop()
}

/// The code for callers. See <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn code(state: &str) -> FailureCode {
    match state {
        "42501" => FailureCode::DestinationDenied,
        "53100" | "53200" => FailureCode::DestinationFull,
        // A lock or an idle transaction timed out, or the table is in use: another attempt can succeed.
        "25P03" | LOCK_NOT_AVAILABLE | "55006" => FailureCode::DestinationUnreachable,
        _ => match state.get(..2).unwrap_or_default() {
            "28" => FailureCode::AuthenticationFailed,
            "22" => FailureCode::ValueNotEncodable,
            "53" => FailureCode::DestinationThrottled,
            "54" => FailureCode::LimitExceeded,
            // The connection; conflicts; a shutdown; errors of the server's system.
            "08" | "40" | "57" | "58" | "XX" => FailureCode::DestinationUnreachable,
            _ => FailureCode::DestinationRefused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_codes() {
        for (state, expected) in [
            ("28P01", FailureCode::AuthenticationFailed),
            ("28000", FailureCode::AuthenticationFailed),
            ("42501", FailureCode::DestinationDenied),
            ("42P01", FailureCode::DestinationRefused),
            ("3D000", FailureCode::DestinationRefused),
            ("23502", FailureCode::DestinationRefused),
            ("25006", FailureCode::DestinationRefused),
            ("25P03", FailureCode::DestinationUnreachable),
            ("22P02", FailureCode::ValueNotEncodable),
            ("53100", FailureCode::DestinationFull),
            ("53300", FailureCode::DestinationThrottled),
            ("54000", FailureCode::LimitExceeded),
            ("57P01", FailureCode::DestinationUnreachable),
            ("40P01", FailureCode::DestinationUnreachable),
            ("08006", FailureCode::DestinationUnreachable),
            ("", FailureCode::DestinationRefused),
        ] {
            assert_eq!(code(state), expected, "{state}");
        }
    }

    #[test]
    fn the_context_of_a_copy_names_a_known_column_only() {
        let names = ["age".to_owned(), "the age".to_owned(), "id".to_owned()];
        let column = |context| column_of_copy(context, &names).map(String::as_str);
        assert_eq!(column("COPY t, line 3, column age: \"secret\""), Some("age"));
        assert_eq!(column("COPY t, line 3, column the age: \"secret\""), Some("the age"));
        assert_eq!(column("COPY t, line 3, column other: \"x id: y\""), None);
        assert_eq!(column("COPY t, line 3: \"secret\""), None);
        assert_eq!(column("COPY t, Zeile 3, Spalte id: NULL-Eingabe"), Some("id"));
    }
}
