//! What a database error means to a caller.

use sea_orm::{DbErr, RuntimeErr};

use crate::model::{Abort, Error, Unavailable};

/// The deadline passed between two statements; said through `DbErr`, for that is what statements answer.
pub const DEADLINE: &str = "the call's deadline has passed";

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if matches!(&error, DbErr::Custom(text) if text == DEADLINE) {
            return Self::DeadlineExceeded;
        }
        let no_connection = matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_));
        match sqlx_error(&error) {
            Some(sqlx::Error::Database(database)) => match database.code().as_deref() {
                // Serialization failure, deadlock, lock timeout; SQLite busy (plain, recovery, snapshot) and locked.
                Some("40001" | "40P01" | "55P03" | "5" | "261" | "517" | "6") => Self::Aborted(Abort::Conflict),
                // Statement timeout.
                Some("57014") => Self::DeadlineExceeded,
                // Shutting down, starting, too many connections, connection lost; a standby since, which takes no writes.
                Some("57P01" | "57P02" | "57P03" | "53300" | "08000" | "08003" | "08006" | "25006") => {
                    gives_none(&error)
                }
                _ if no_connection => gives_none(&error),
                _ => Self::internal(error),
            },
            _ if no_connection => gives_none(&error),
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

/// Whatever the reason is (refused, a password that changed, a standby since), nobody else tells it.
fn gives_none(error: &DbErr) -> Error {
    tracing::warn!(%error, "the database gives no connection that can be worked on");
    Error::Unavailable(Unavailable::Database)
}

/// Whether a statement failed because a row of its key is there already.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
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
