//! Deletion of rows that are kept for a limited time, in small batches and by one replica at a time.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SimpleExpr};
use sea_orm::{ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, EntityTrait, QueryFilter as _, Statement};

use super::entities::{attachment_release, audit_event, request_id, run};
use super::query::expressions::now;
use super::runs::in_states;
use super::{ReadContext, Transaction};
use crate::model::{Result, RunState};

/// Rows per statement on PostgreSQL.
const MAX_POSTGRES_ROWS: u64 = 1_000;
/// Rows per statement on SQLite, whose single writer is shared with all calls.
const MAX_SQLITE_ROWS: u64 = 100;
/// Key of PostgreSQL's advisory lock for retention.
const ADVISORY_LOCK: i64 = 0x6f75_7466_6c6f_7701;

/// How long rows are kept, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Request ids of mutations.
    pub request_ids: Duration,
    /// Releases; cursors are valid for one hour less.
    pub releases: Duration,
    /// Denied attempts in the audit log.
    pub denied: Duration,
    /// All audit events, denied attempts included.
    pub audit: Duration,
    /// Runs, from their end.
    pub runs: Duration,
}

/// A kind of rows with its own retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiringRows {
    /// Request ids of mutations.
    RequestIds,
    /// Releases, from which followers resume.
    Releases,
    /// Denied attempts in the audit log.
    DeniedAttempts,
    /// Any audit event.
    AuditEvents,
    /// Runs that have ended.
    Runs,
}

impl ExpiringRows {
    /// Every kind, in the order of deletion.
    pub const ALL: [Self; 5] = [Self::RequestIds, Self::Releases, Self::DeniedAttempts, Self::AuditEvents, Self::Runs];
}

/// Deletes a batch of expired rows of a kind and returns their number; also 0 if another replica holds the lock.
pub async fn delete_expired(
    db: &Transaction,
    read_context: &ReadContext,
    kind: ExpiringRows,
    retention: &Retention,
) -> Result<u64> {
    let backend = db.get_database_backend();
    if backend == DbBackend::Postgres {
        let sql = format!("SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK}) AS locked");
        let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
        if !row.is_some_and(|row| row.try_get("", "locked").unwrap_or(false)) {
            return Ok(0);
        }
    }
    let before = |age: Duration| expired_before(backend, read_context, age);
    match kind {
        ExpiringRows::RequestIds => {
            let time = request_id::Column::CreateTime;
            delete::<request_id::Entity>(db, time, &time.into_expr().lt(before(retention.request_ids))).await
        }
        ExpiringRows::Releases => {
            let time = attachment_release::Column::ReleaseTime;
            delete::<attachment_release::Entity>(db, time, &time.into_expr().lt(before(retention.releases))).await
        }
        ExpiringRows::DeniedAttempts => {
            let (time, denied) = (audit_event::Column::Time, audit_event::Column::DeniedCode.is_not_null());
            delete::<audit_event::Entity>(db, time, &denied.and(time.into_expr().lt(before(retention.denied)))).await
        }
        ExpiringRows::AuditEvents => {
            let time = audit_event::Column::Time;
            delete::<audit_event::Entity>(db, time, &time.into_expr().lt(before(retention.audit))).await
        }
        ExpiringRows::Runs => {
            // The states are those of the index `runs_end_time`.
            let ended = in_states(&[RunState::Succeeded, RunState::Failed, RunState::Cancelled, RunState::Skipped])?;
            let time = run::Column::EndTime;
            delete::<run::Entity>(db, time, &ended.and(time.into_expr().lt(before(retention.runs)))).await
        }
    }
}

/// The database's time minus an age.
fn expired_before(backend: DbBackend, read_context: &ReadContext, age: Duration) -> SimpleExpr {
    let clock = read_context.clock.moved_back(age);
    now(backend, &read_context.with_clock(clock))
}

/// Deletes expired rows of a table: with one statement on PostgreSQL, with as many as fit into the time budget on
/// SQLite. The oldest first, so that the index by time is used even if most rows of the table have expired.
async fn delete<E: EntityTrait>(db: &Transaction, time: E::Column, expired: &SimpleExpr) -> Result<u64> {
    // The physical row address, which works for every table.
    let is_sqlite = db.get_database_backend() == DbBackend::Sqlite;
    let (address, max_rows) = if is_sqlite { ("rowid", MAX_SQLITE_ROWS) } else { ("ctid", MAX_POSTGRES_ROWS) };
    let mut deleted = 0;
    while db.is_within_budget() {
        let batch = Query::select()
            .column(address)
            .from(E::default())
            .and_where(expired.clone())
            .order_by(time, Order::Asc)
            .limit(max_rows)
            .take();
        let condition = Condition::all().add(Expr::col(address).in_subquery(batch));
        let rows = E::delete_many().filter(condition).exec(db).await?.rows_affected;
        deleted += rows;
        if rows < max_rows || !is_sqlite {
            break;
        }
    }
    Ok(deleted)
}
