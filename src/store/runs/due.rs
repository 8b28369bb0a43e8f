//! Due times of schedules.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, IntoIden as _, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect,
    RelationTrait as _,
};
use uuid::Uuid;

use super::rows::{code, signed};
use crate::model::{Error, ExportUid, OrganizationId, Result, RunState, SkipReason};
use crate::store::entities::{connection, export, run};
use crate::store::query::expressions::now;
use crate::store::query::lookup;
use crate::store::{ReadContext, Scope, Transaction};

/// Attached exports whose due time has passed, the most overdue first, at most `limit`. They and their connections are
/// locked; those that another transaction has locked are left out.
pub async fn lock_due(db: &Transaction, read_context: &ReadContext, limit: u64) -> Result<Vec<DueExport>> {
    let due = export::Column::NextDueTime.into_expr();
    let mut query = export::Entity::find()
        .select_only()
        .columns([export::Column::Organization, export::Column::Uid, export::Column::NextDueTime])
        .join(JoinType::InnerJoin, export::Relation::Connection.def())
        .filter(export::Column::NextDueTime.is_not_null())
        .filter(export::Column::ConnectionUid.is_not_null())
        .filter(due.lte(now(db.get_database_backend(), read_context)))
        .order_by_asc(export::Column::NextDueTime)
        .limit(limit);
    QuerySelect::query(&mut query).lock_with_tables_behavior(
        LockType::NoKeyUpdate,
        [export::Entity.into_iden(), connection::Entity.into_iden()],
        LockBehavior::SkipLocked,
    );
    let rows: Vec<(String, Uuid, DateTime<Utc>)> = query.into_tuple().all(db).await?;
    let due = |(organization, uid, due_time): (String, Uuid, DateTime<Utc>)| {
        let organization = OrganizationId::parse(&organization);
        let organization = organization.ok_or_else(|| Error::internal("a stored organization id"))?;
        Ok(DueExport { organization, uid: ExportUid(uid), due_time })
    };
    rows.into_iter().map(due).collect()
}

/// An export whose due time has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueExport {
    /// Its organization.
    pub organization: OrganizationId,
    /// Its uid.
    pub uid: ExportUid,
    /// The stored due time.
    pub due_time: DateTime<Utc>,
}

/// Sets the next due time of an export. Its revision stays: callers did not change it.
pub async fn advance(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uid: ExportUid,
    next: Option<DateTime<Utc>>,
) -> Result<()> {
    export::Entity::update_many()
        .col_expr(export::Column::NextDueTime, Expr::val(next))
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::Uid.eq(uid.0))
        .exec(db)
        .await?;
    Ok(())
}

/// Adds skipped due times to the newest run of an export, if that was skipped for the same reason. Returns `false` if it
/// was not. The export is locked.
pub async fn extend_skipped(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    export: ExportUid,
    reason: SkipReason,
    (count, last): (u64, DateTime<Utc>),
) -> Result<bool> {
    use run::Column;
    let of_export = Column::Organization.eq(scope.organization.as_str()).and(Column::ExportUid.eq(export.0));
    let newest = run::Entity::find().select_only().column(Column::Uid).filter(of_export);
    let newest: Option<Uuid> = lookup::fetch_scalar(db, newest.order_by_desc(Column::Uid).limit(1)).await?;
    let Some(newest) = newest else { return Ok(false) };
    let extended = run::Entity::update_many()
        .col_expr(Column::DueCount, Expr::col(Column::DueCount).add(signed(count)))
        .col_expr(Column::LastScheduleTime, Expr::val(last))
        .col_expr(Column::EndTime, now(db.get_database_backend(), scope.read_context))
        .filter(Column::Organization.eq(scope.organization.as_str()))
        .filter(Column::Uid.eq(newest))
        .filter(Column::State.eq(code(&RunState::Skipped)?))
        .filter(Column::SkipReason.eq(code(&reason)?))
        .filter(Column::ScheduleTime.is_not_null())
        .exec(db)
        .await?;
    Ok(extended.rows_affected > 0)
}

/// Counts a failed run of an export, or resets the count after a successful one. Returns how many runs in a row failed;
/// `None` if nothing changed: the count was 0, the export does not exist any more, or its schedule is paused and the count is
/// that of the pause. The export is locked.
pub async fn count_failures(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    export: ExportUid,
    failed: bool,
) -> Result<Option<u32>> {
    let column = export::Column::ConsecutiveFailures;
    let count = if failed { Expr::col(column).add(1) } else { Expr::val(0) };
    let mut update = export::Entity::update_many().col_expr(column, count);
    if !failed {
        update = update.filter(column.ne(0));
    }
    let updated = update
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::Uid.eq(export.0))
        .filter(export::Column::SchedulePauseTime.is_null())
        .exec_with_returning(db)
        .await?;
    let failures = updated.first().map(|row| u32::try_from(row.consecutive_failures).map_err(Error::internal));
    failures.transpose()
}

/// Starts the count of failed runs again, after the schedule of an export was switched on. The export is locked.
pub async fn reset_failures(db: &impl ConnectionTrait, scope: &Scope<'_>, export: ExportUid) -> Result<()> {
    export::Entity::update_many()
        .col_expr(export::Column::ConsecutiveFailures, Expr::val(0))
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::Uid.eq(export.0))
        .exec(db)
        .await?;
    Ok(())
}
