//! Maps database errors to errors of the application.

use std::sync::Arc;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use crate::model::{Abort, Error, Exhausted, Unavailable};

/// The deadline of the call passed between two statements; carried in a `DbErr`, the error type of statements.
pub const DEADLINE: &str = "deadline of the call exceeded";

/// Serialization failure, deadlock, lock timeout; SQLite busy (plain, recovery, snapshot) and locked.
const CONFLICTS: [&str; 7] = ["40001", "40P01", "55P03", "5", "261", "517", "6"];

/// Whether a statement conflicted with another transaction.
pub fn is_conflict(error: &DbErr) -> bool {
    let code = sqlx_error(error).and_then(sqlx::Error::as_database_error).and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| CONFLICTS.contains(&code.as_ref()))
}

/// Callers hold all permits that one may have.
#[derive(Debug, thiserror::Error)]
#[error("no permit for a statement: {0:?}")]
struct NoPermit(Exhausted);

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if matches!(&error, DbErr::Custom(text) if text == DEADLINE) {
            return Self::DeadlineExceeded;
        }
        let no_connection = matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_));
        match sqlx_error(&error) {
            Some(sqlx::Error::Database(database)) => match database.code().as_deref() {
                Some(code) if CONFLICTS.contains(&code) => Self::Aborted(Abort::Conflict),
                // Statement timeout; interrupted by the progress handler of SQLite.
                Some("57014" | "9") => Self::DeadlineExceeded,
                // Shutting down, starting, too many connections, connection lost, transaction idle for too long; or a
                // standby, which accepts no writes.
                Some("25P03" | "57P01" | "57P02" | "57P03" | "53300" | "08000" | "08003" | "08006" | "25006") => {
                    connection_unavailable(&error)
                }
                _ if no_connection => connection_unavailable(&error),
                _ => Self::internal(error),
            },
            _ if no_connection => connection_unavailable(&error),
            Some(sqlx::Error::AnyDriverError(cause)) if let Some(NoPermit(exhausted)) = cause.downcast_ref() => {
                Self::Exhausted(*exhausted)
            }
            Some(
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => Self::Unavailable(Unavailable::Database),
            _ => Self::internal(error),
        }
    }
}

/// An error of a permit, as an error of the statement that waited for it.
pub fn of_statement(error: &Error) -> DbErr {
    if let Error::Exhausted(exhausted) = error {
        let cause = sqlx::Error::AnyDriverError(Box::new(NoPermit(*exhausted)));
        DbErr::Query(RuntimeErr::SqlxError(Arc::new(cause)))
    } else {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
    }
}

/// The cause (connection refused, password changed, standby) is not in the response, so it is logged here.
fn connection_unavailable(error: &DbErr) -> Error {
    tracing::warn!(%error, "no usable database connection");
    Error::Unavailable(Unavailable::Database)
}

/// The table whose unique key a statement violated.
pub fn table_of_existing(error: &DbErr) -> Option<&str> {
    let error = sqlx_error(error)?.as_database_error().filter(|error| error.is_unique_violation())?;
    // On SQLite: "UNIQUE constraint failed: exports.organization, exports.id".
    error.table().or_else(|| error.message().split_once(": ")?.1.split('.').next())
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ShareLimit;

    #[test]
    fn a_statement_without_a_permit_fails_as_its_permit_did() {
        let refused = Exhausted::Share { resource: "read_connections", limit: ShareLimit::Principal };
        let failed = Error::from(of_statement(&Error::Exhausted(refused)));
        assert!(matches!(failed, Error::Exhausted(found) if found == refused), "{failed:?}");
        let failed = Error::from(of_statement(&Error::Unavailable(Unavailable::Database)));
        assert!(matches!(failed, Error::Unavailable(Unavailable::Database)), "{failed:?}");
    }
}
