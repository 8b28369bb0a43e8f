//! Changes of state, each by an event of the table in `model::RunState`.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockType, SimpleExpr};
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use super::rows::{code, decode, signed};
use crate::model::{
    ConnectionUid, ExportUid, OrganizationId, Result, RunEvent, RunFailure, RunState, RunStats, SkipReason,
};
use crate::store::Scope;
use crate::store::entities::run;
use crate::store::query::lookup;

/// Uids per statement.
const MAX_ROWS_PER_STATEMENT: usize = 1_000;

/// Cancels the unfinished runs of exports, whose rows are locked.
pub async fn cancel_of_exports(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    exports: &BTreeSet<ExportUid>,
    now: DateTime<Utc>,
) -> Result<()> {
    for chunk in exports.iter().map(|uid| uid.0).collect::<Vec<_>>().chunks(MAX_ROWS_PER_STATEMENT) {
        let of_exports = run::Column::ExportUid.is_in(chunk.iter().copied());
        apply(db, scope, of_exports, RunEvent::Cancel, None, now).await?;
    }
    Ok(())
}

/// Skips the queued runs on a connection that becomes unavailable, and cancels those that a runner delivers. The row of the
/// connection is locked.
pub async fn block_on_connection(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
    reason: SkipReason,
    now: DateTime<Utc>,
) -> Result<()> {
    let on_connection = run::Column::ConnectionUid.eq(connection.0);
    apply(db, scope, on_connection, RunEvent::Block, Some(reason), now).await
}

/// Cancels a run. Does nothing if it has ended.
pub async fn cancel(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: Uuid, now: DateTime<Utc>) -> Result<()> {
    apply(db, scope, run::Column::Uid.eq(uid), RunEvent::Cancel, None, now).await
}

/// Skips a queued run whose connection is not available.
pub async fn skip(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uid: Uuid,
    reason: SkipReason,
    now: DateTime<Utc>,
) -> Result<()> {
    let queued = run::Column::Uid.eq(uid).and(run::Column::State.eq(code(&RunState::Queued)?));
    apply(db, scope, queued, RunEvent::Block, Some(reason), now).await
}

/// Applies an event to the runs that `condition` selects: one statement for each state that the event is possible in.
///
/// The export or the connection of the runs is locked, so that none is leased in between. An attempt may end and its run be
/// queued again in between: therefore the queued runs come last.
async fn apply(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    condition: SimpleExpr,
    event: RunEvent,
    reason: Option<SkipReason>,
    now: DateTime<Utc>,
) -> Result<()> {
    for state in [RunState::Running, RunState::Queued] {
        let Some(next) = state.after(event) else { continue };
        let mut update = run::Entity::update_many()
            .col_expr(run::Column::State, Expr::val(code(&next)?))
            .filter(run::Column::Organization.eq(scope.organization.as_str()))
            .filter(super::in_states(&[state])?)
            .filter(condition.clone());
        if next.is_final() {
            update = update
                .col_expr(run::Column::EndTime, Expr::val(now))
                .col_expr(run::Column::NextAttemptTime, Expr::val(None::<DateTime<Utc>>));
        }
        if let (RunState::Skipped, Some(reason)) = (next, reason) {
            update = update.col_expr(run::Column::SkipReason, Expr::val(code(&reason)?));
        }
        update.exec(db).await?;
    }
    Ok(())
}

/// A leased attempt of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The run.
    pub uid: Uuid,
    /// The number of the attempt: a later lease has a greater one.
    pub number: u32,
}

/// Sets the revision of the export that a leased attempt uses.
pub async fn set_export_revision(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    attempt: Attempt,
    revision: i64,
) -> Result<()> {
    run::Entity::update_many()
        .col_expr(run::Column::ExportRevision, Expr::val(revision))
        .filter(of_attempt(scope.organization, attempt))
        .exec(db)
        .await?;
    Ok(())
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The event.
    pub event: RunEvent,
    /// The failure.
    pub failure: Option<RunFailure>,
    /// The counts; `None` keeps those that are stored.
    pub stats: Option<RunStats>,
    /// The delay of the next attempt, if one follows.
    pub retry_delay: TimeDelta,
}

/// Ends a leased attempt and gives its lease back. Returns the new state; `None` if the lease was lost, and then nothing
/// changed.
pub async fn end_attempt(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    attempt: Attempt,
    end: &AttemptEnd,
    now: DateTime<Utc>,
) -> Result<Option<RunState>> {
    use run::Column;
    let state = run::Entity::find()
        .select_only()
        .column(Column::State)
        .filter(of_attempt(scope.organization, attempt))
        .lock(LockType::NoKeyUpdate);
    let Some(state) = lookup::fetch_scalar::<_, String>(db, state).await? else { return Ok(None) };
    let Some(next) = decode::<RunState>(state)?.after(end.event) else { return Ok(None) };
    let mut update = run::Entity::update_many()
        .col_expr(Column::State, Expr::val(code(&next)?))
        .col_expr(Column::LeaseOwner, Expr::val(None::<Uuid>))
        .col_expr(Column::LeaseExpireTime, Expr::val(None::<DateTime<Utc>>))
        .filter(of_attempt(scope.organization, attempt));
    if let Some(stats) = end.stats {
        update = update
            .col_expr(Column::RowsRead, Expr::val(signed(stats.rows_read)))
            .col_expr(Column::RowsWritten, Expr::val(signed(stats.rows_written)))
            .col_expr(Column::BytesWritten, Expr::val(signed(stats.bytes_written)))
            .col_expr(Column::Files, Expr::val(signed(stats.files)));
    }
    update = match end.event {
        RunEvent::Release => update.col_expr(Column::Releases, Expr::col(Column::Releases).add(1)),
        RunEvent::Retry | RunEvent::Fail => update.col_expr(Column::Failures, Expr::col(Column::Failures).add(1)),
        RunEvent::Lease | RunEvent::Cancel | RunEvent::Block | RunEvent::Succeed => update,
    };
    let failure = end.failure.as_ref().filter(|_| next != RunState::Cancelled);
    let code_text = failure.map(|failure| code(&failure.code)).transpose()?;
    update = update
        .col_expr(Column::FailureCode, Expr::val(code_text))
        .col_expr(Column::FailureDetail, Expr::val(failure.map(|failure| failure.detail.clone())));
    if next == RunState::Succeeded {
        update = update.col_expr(Column::DeliveryState, Expr::val(None::<String>));
    }
    update = if next.is_final() {
        update.col_expr(Column::EndTime, Expr::val(now))
    } else {
        update.col_expr(Column::NextAttemptTime, Expr::val(now + end.retry_delay))
    };
    update.exec(db).await?;
    Ok(Some(next))
}

/// The row of a run, while the attempt has its lease. It names no states: with these, PostgreSQL reads all leased runs of the
/// organization from a partial index instead of one row by the primary key.
pub(super) fn of_attempt(organization: &OrganizationId, attempt: Attempt) -> SimpleExpr {
    use run::Column;
    Column::Organization
        .eq(organization.as_str())
        .and(Column::Uid.eq(attempt.uid))
        .and(Column::Attempt.eq(i64::from(attempt.number)))
        .and(Column::LeaseExpireTime.is_not_null())
}
