//! Leases that replicas hold. The number of the attempt is the fence: each statement of its holder names it.

use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, IntoIden as _, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, JoinType, QueryFilter as _, QueryOrder as _, QuerySelect,
    RelationTrait as _,
};
use uuid::Uuid;

use super::changes::{Attempt, of_attempt};
use super::rows::{decode, signed};
use super::{in_states, leased};
use crate::model::{Availability, ConnectionState, Error, ExportUid, OrganizationId, Result, RunState, RunStats};
use crate::store::entities::{connection, run};
use crate::store::query::expressions::{availability, in_state, now, now_plus};
use crate::store::{ReadContext, Scope, Transaction};

/// A lease that is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The organization of the run.
    pub organization: OrganizationId,
    /// The attempt.
    pub attempt: Attempt,
    /// The counts so far.
    pub stats: RunStats,
}

/// Renews the leases of a replica and writes the counts of their runs. Returns the attempts whose
/// leases it still holds, with the states of their runs.
pub async fn renew(
    db: &Transaction,
    read_context: &ReadContext,
    owner: Uuid,
    duration: Duration,
    renewals: &[Renewal],
) -> Result<Vec<(Attempt, RunState)>> {
    use run::Column;
    let mut held = Vec::with_capacity(renewals.len());
    for renewal in renewals {
        let renewed = run::Entity::update_many()
            .col_expr(Column::LeaseExpireTime, now_plus(db.get_database_backend(), read_context, duration))
            .col_expr(Column::RowsRead, Expr::val(signed(renewal.stats.rows_read)))
            .col_expr(Column::RowsWritten, Expr::val(signed(renewal.stats.rows_written)))
            .col_expr(Column::BytesWritten, Expr::val(signed(renewal.stats.bytes_written)))
            .col_expr(Column::Files, Expr::val(signed(renewal.stats.files)))
            .col_expr(Column::RowsEstimated, Expr::val(renewal.stats.rows_estimated.map(signed)))
            .filter(of_attempt(&renewal.organization, renewal.attempt))
            .filter(Column::LeaseOwner.eq(owner))
            .exec_with_returning(db)
            .await?;
        for row in renewed {
            held.push((renewal.attempt, decode(row.state)?));
        }
    }
    Ok(held)
}

/// Saves what the attempts of a run share. Returns `false` if the lease was lost.
pub async fn save_delivery_state(
    db: &Transaction,
    organization: &OrganizationId,
    attempt: Attempt,
    state: &str,
) -> Result<bool> {
    let saved = run::Entity::update_many()
        .col_expr(run::Column::DeliveryState, Expr::val(state))
        .filter(of_attempt(organization, attempt))
        .exec(db)
        .await?;
    Ok(saved.rows_affected > 0)
}

/// What the earlier attempts of a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// What they saved last.
    pub delivery_state: Option<String>,
    /// How many of them failed.
    pub failures: u32,
    /// How many of their leases expired or were given back.
    pub releases: u32,
}

/// What the earlier attempts of a run left.
pub async fn history(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: Uuid) -> Result<History> {
    let query = run::Entity::find()
        .select_only()
        .columns([run::Column::DeliveryState, run::Column::Failures, run::Column::Releases])
        .filter(run::Column::Organization.eq(scope.organization.as_str()))
        .filter(run::Column::Uid.eq(uid));
    let row: Option<(Option<String>, i64, i64)> = query.into_tuple().one(db).await?;
    let (delivery_state, failures, releases) = row.unwrap_or_default();
    let count = |count| u32::try_from(count).map_err(Error::internal);
    Ok(History { delivery_state, failures: count(failures)?, releases: count(releases)? })
}

/// Leases that expired, at most `limit`, each with the number of leases that the run lost before. Their rows are locked.
pub async fn expired(db: &Transaction, read_context: &ReadContext, limit: u64) -> Result<Vec<ExpiredLease>> {
    use run::Column;
    let query = run::Entity::find()
        .select_only()
        .columns([Column::Organization, Column::ExportUid, Column::Uid, Column::Attempt, Column::Releases])
        .filter(leased()?)
        .filter(Column::LeaseExpireTime.into_expr().lte(now(db.get_database_backend(), read_context)))
        .order_by_asc(Column::LeaseExpireTime)
        .limit(limit)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
    let rows: Vec<(String, Uuid, Uuid, i64, i64)> = query.into_tuple().all(db).await?;
    let lease = |(organization, export, uid, number, releases): (String, Uuid, Uuid, i64, i64)| {
        Ok(ExpiredLease {
            organization: OrganizationId::parse(&organization).ok_or_else(|| Error::internal("an organization id"))?,
            export: ExportUid(export),
            attempt: Attempt { uid, number: u32::try_from(number).map_err(Error::internal)? },
            releases: u32::try_from(releases).map_err(Error::internal)?,
        })
    };
    rows.into_iter().map(lease).collect()
}

/// Queued runs that are due and whose connection is not available, at most `limit`. Runs are skipped when a connection
/// is suspended or loses its credential; this finds those whose credential expired.
pub async fn blocked(db: &Transaction, read_context: &ReadContext, limit: u64) -> Result<Vec<BlockedRun>> {
    let backend = db.get_database_backend();
    let mut query = run::Entity::find()
        .select_only()
        .columns([run::Column::Organization, run::Column::Uid])
        .expr_as(availability(backend, read_context), "availability")
        .join(JoinType::InnerJoin, run::Relation::Connection.def())
        .filter(in_states(&[RunState::Queued])?)
        .filter(run::Column::NextAttemptTime.into_expr().lte(now(backend, read_context)))
        .filter(in_state(availability(backend, read_context), ConnectionState::Active).not())
        .limit(limit);
    QuerySelect::query(&mut query).lock_with_tables_behavior(
        LockType::NoKeyUpdate,
        [run::Entity.into_iden(), connection::Entity.into_iden()],
        LockBehavior::SkipLocked,
    );
    let rows: Vec<(String, Uuid, i32)> = query.into_tuple().all(db).await?;
    let blocked = |(organization, uid, availability): (String, Uuid, i32)| {
        Ok(BlockedRun {
            organization: OrganizationId::parse(&organization).ok_or_else(|| Error::internal("an organization id"))?,
            uid,
            availability: Availability::from_code(availability).ok_or_else(|| Error::internal("an availability"))?,
        })
    };
    rows.into_iter().map(blocked).collect()
}

/// A lease that expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredLease {
    /// The organization of the run.
    pub organization: OrganizationId,
    /// The export of the run.
    pub export: ExportUid,
    /// The attempt that held it.
    pub attempt: Attempt,
    /// How many leases of the run expired or were given back before.
    pub releases: u32,
}

/// A queued run that cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedRun {
    /// The organization of the run.
    pub organization: OrganizationId,
    /// The run.
    pub uid: Uuid,
    /// Why the connection cannot be used.
    pub availability: Availability,
}
