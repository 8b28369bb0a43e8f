//! Locks on organizations, which have no rows of their own.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::Scope;
use crate::model::Result;

/// The seed of the hash of an organization, whose lock is that on what it has.
const QUOTA_LOCK: i64 = 0x4f55_5446_5155_4f54;

/// Waits for other transactions that count what the organization has, until the end of this one. SQLite has one writer.
pub async fn lock(db: &impl ConnectionTrait, scope: &Scope<'_>) -> Result<()> {
    if db.get_database_backend() == DbBackend::Postgres {
        let values = [Value::from(scope.organization.as_str()), QUOTA_LOCK.into()];
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))";
        db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    }
    Ok(())
}
