//! Leases: which replica delivers a run.
//!
//! A lease is taken in a transaction that locks the connection, the export and the run, so that it is ordered with every
//! change of them. The number of the attempt is the fence: each later statement of its holder names it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    CaseStatement, Expr, ExprTrait as _, IntoIden as _, LockBehavior, LockType, Query, SelectStatement, SimpleExpr,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _,
    QueryOrder as _, QuerySelect, RelationTrait as _, Statement, Value,
};
use uuid::Uuid;

use super::changes::Attempt;
use super::rows::{code, decode, signed, unsigned};
use super::{in_states, leased};
use crate::model::{Availability, ConnectionState, Error, OrganizationId, Result, RunState, RunStats};
use crate::store::entities::run::Column::ConnectionUid;
use crate::store::entities::{connection, export, run};
use crate::store::query::expressions::{availability, in_state, now, now_plus};
use crate::store::query::lookup;
use crate::store::{ReadContext, Scope, Transaction};

/// The second key of PostgreSQL's advisory lock on the leases of an organization.
const ADVISORY_LOCK_SEED: i64 = 0x6f75_7466_6c6f_7702;

/// The name of `runs` in subqueries of a query of runs.
const OTHER: &str = "other";

/// How many runs may be leased at once, over all replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseLimits {
    /// On one connection, by its type. Runs of other types are never leased.
    pub per_connection: Vec<(String, u32)>,
    /// In one organization.
    pub per_organization: u32,
    /// In one organization to connections of one type.
    pub per_connection_type: u32,
}

/// A lease that is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The organization of the run.
    pub organization: OrganizationId,
    /// The run.
    pub uid: Uuid,
    /// The number of the attempt.
    pub attempt: u32,
    /// The counts so far.
    pub stats: RunStats,
}

/// Organizations that have runs to lease, at most `limit`, in byte order after `after`.
pub async fn organizations_with_queued(
    db: &impl ConnectionTrait,
    read_context: &ReadContext,
    after: &str,
    limit: u64,
) -> Result<Vec<OrganizationId>> {
    let query = run::Entity::find()
        .select_only()
        .column(run::Column::Organization)
        .distinct()
        .filter(in_states(&[RunState::Queued])?)
        .filter(
            Expr::col((run::Entity, run::Column::NextAttemptTime)).lte(now(db.get_database_backend(), read_context)),
        )
        .filter(run::Column::Organization.gt(after))
        .order_by_asc(run::Column::Organization)
        .limit(limit);
    let organizations: Vec<String> = query.into_tuple().all(db).await?;
    let parse = |text: String| OrganizationId::parse(&text).ok_or_else(|| Error::internal("a stored organization id"));
    organizations.into_iter().map(parse).collect()
}

/// Locks the leases of an organization until the transaction ends. Returns `false` if another replica has the lock.
///
/// Until then PostgreSQL does not sort: it expects fewer queued runs than there are, and [`lease_next`] would read and sort all of
/// them instead of reading them in the order of the index `runs_queue` up to the first that may start.
pub async fn try_lock_organization(db: &Transaction, organization: &OrganizationId) -> Result<bool> {
    if db.get_database_backend() == DbBackend::Sqlite {
        return Ok(true);
    }
    let sql =
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1, $2)) AS locked, set_config('enable_sort', 'off', true)";
    let values = [Value::from(organization.as_str()), ADVISORY_LOCK_SEED.into()];
    let row = db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    Ok(row.is_some_and(|row| row.try_get("", "locked").unwrap_or(false)))
}

/// Leases the run of an organization that has waited longest and may start: its export is attached to its connection and has
/// no other run that was started, the connection is active, and no limit is reached. The leases of the organization are
/// locked before. Returns the run, and the counts of its attempt before, which are reset.
pub async fn lease_next(
    db: &Transaction,
    scope: &Scope<'_>,
    owner: Uuid,
    duration: Duration,
    limits: &LeaseLimits,
) -> Result<Option<(Uuid, RunStats)>> {
    use run::Column;
    let backend = db.get_database_backend();
    let of_organization = |other: fn(Column) -> Expr| other(Column::Organization).eq(scope.organization.as_str());
    let in_organization = leased_runs(|other| vec![of_organization(other)])?;
    let of_type = leased_runs(|other| {
        vec![of_organization(other), other(Column::ConnectionType).equals((run::Entity, Column::ConnectionType))]
    })?;
    let mut query = run::Entity::find()
        .select_only()
        .columns([Column::Uid, Column::RowsRead, Column::RowsWritten, Column::BytesWritten, Column::Files])
        .join(JoinType::InnerJoin, run::Relation::Connection.def())
        .join(JoinType::InnerJoin, run::Relation::Export.def())
        .filter(run::Column::Organization.eq(scope.organization.as_str()))
        .filter(in_states(&[RunState::Queued])?)
        .filter(run::Column::NextAttemptTime.into_expr().lte(now(backend, scope.read_context)))
        .filter(Expr::col((export::Entity, export::Column::ConnectionUid)).equals((run::Entity, ConnectionUid)))
        .filter(in_state(availability(backend, scope.read_context), ConnectionState::Active))
        .filter(count(in_organization).lt(i64::from(limits.per_organization)))
        .filter(count(of_type).lt(i64::from(limits.per_connection_type)))
        .filter(below_connection_limit(limits)?)
        .filter(Expr::exists(started_before()?).not())
        .order_by_asc(run::Column::NextAttemptTime)
        .order_by_asc(run::Column::Uid)
        .limit(1);
    // No order of locks is needed: nothing is waited for.
    QuerySelect::query(&mut query).lock_with_tables_behavior(
        LockType::NoKeyUpdate,
        [run::Entity.into_iden(), export::Entity.into_iden(), connection::Entity.into_iden()],
        LockBehavior::SkipLocked,
    );
    let Some(next) = lookup::fetch_one::<_, Next>(db, query).await? else { return Ok(None) };
    take(db, scope, next.uid, owner, duration).await?;
    let stats = RunStats {
        rows_read: unsigned(next.rows_read),
        rows_written: unsigned(next.rows_written),
        bytes_written: unsigned(next.bytes_written),
        files: unsigned(next.files),
        rows_estimated: None,
    };
    Ok(Some((next.uid, stats)))
}

/// A run that may be leased.
#[derive(FromQueryResult)]
struct Next {
    uid: Uuid,
    rows_read: i64,
    rows_written: i64,
    bytes_written: i64,
    files: i64,
}

async fn take(db: &Transaction, scope: &Scope<'_>, uid: Uuid, owner: Uuid, duration: Duration) -> Result<()> {
    use run::Column;
    let backend = db.get_database_backend();
    let revision = Query::select()
        .column((export::Entity, export::Column::Revision))
        .from(export::Entity)
        .and_where(Expr::col((export::Entity, export::Column::Organization)).eq(scope.organization.as_str()))
        .and_where(Expr::col((export::Entity, export::Column::Uid)).equals((run::Entity, Column::ExportUid)))
        .take();
    let mut update = run::Entity::update_many();
    for count in [Column::RowsRead, Column::RowsWritten, Column::BytesWritten, Column::Files] {
        update = update.col_expr(count, Expr::val(0));
    }
    let start = Expr::col((run::Entity, Column::StartTime)).if_null(now(backend, scope.read_context));
    update
        .col_expr(Column::State, Expr::val(code(&RunState::Running)?))
        .col_expr(Column::Attempt, Expr::col((run::Entity, Column::Attempt)).add(1))
        .col_expr(Column::LeaseOwner, Expr::val(owner))
        .col_expr(Column::LeaseExpireTime, now_plus(backend, scope.read_context, duration))
        .col_expr(Column::NextAttemptTime, Expr::val(None::<DateTime<Utc>>))
        .col_expr(Column::StartTime, start)
        .col_expr(Column::ExportRevision, SimpleExpr::SubQuery(None, Box::new(revision.into())))
        .filter(Column::Organization.eq(scope.organization.as_str()))
        .filter(Column::Uid.eq(uid))
        .exec(db)
        .await?;
    Ok(())
}

/// Renews the leases of a replica and writes the counts of their runs. Returns the state of each run whose lease it still
/// holds.
pub async fn renew(
    db: &Transaction,
    read_context: &ReadContext,
    owner: Uuid,
    duration: Duration,
    renewals: &[Renewal],
) -> Result<Vec<(Uuid, RunState)>> {
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
            .filter(Column::Organization.eq(renewal.organization.as_str()))
            .filter(Column::Uid.eq(renewal.uid))
            .filter(Column::Attempt.eq(i64::from(renewal.attempt)))
            .filter(Column::LeaseOwner.eq(owner))
            .filter(leased()?)
            .exec_with_returning(db)
            .await?;
        for row in renewed {
            held.push((row.uid, decode(row.state)?));
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
        .filter(run::Column::Organization.eq(organization.as_str()))
        .filter(run::Column::Uid.eq(attempt.uid))
        .filter(run::Column::Attempt.eq(i64::from(attempt.number)))
        .filter(leased()?)
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
        .columns([Column::Organization, Column::Uid, Column::Attempt, Column::Releases])
        .filter(leased()?)
        .filter(Column::LeaseExpireTime.into_expr().lte(now(db.get_database_backend(), read_context)))
        .order_by_asc(Column::LeaseExpireTime)
        .limit(limit)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
    let rows: Vec<(String, Uuid, i64, i64)> = query.into_tuple().all(db).await?;
    let lease = |(organization, uid, number, releases): (String, Uuid, i64, i64)| {
        Ok(ExpiredLease {
            organization: OrganizationId::parse(&organization).ok_or_else(|| Error::internal("an organization id"))?,
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

/// The number of leased runs on the connection of a run is below the limit of its type.
fn below_connection_limit(limits: &LeaseLimits) -> Result<SimpleExpr> {
    use run::Column::{ConnectionType, Organization};
    let on_connection = leased_runs(|other| {
        vec![
            other(Organization).equals((run::Entity, Organization)),
            other(ConnectionUid).equals((run::Entity, ConnectionUid)),
        ]
    })?;
    let mut limit = CaseStatement::new();
    for (connection_type, max) in &limits.per_connection {
        let of_type =
            Expr::col((run::Entity, ConnectionType)).eq(SimpleExpr::Constant(connection_type.as_str().into()));
        limit = limit.case(of_type, SimpleExpr::Constant(i64::from(*max).into()));
    }
    Ok(count(on_connection).lt(limit.finally(SimpleExpr::Constant(0.into()))))
}

/// The other unfinished run of the export of a run that was started: a runner delivers it, or it waits for another attempt.
fn started_before() -> Result<SelectStatement> {
    use run::Column::{Attempt, ExportUid, Organization, State, Uid};
    let other = |column| Expr::col((OTHER, column));
    let literal = |state: RunState| Ok::<_, Error>(SimpleExpr::Constant(code(&state)?.into()));
    let is_leased = other(State).is_in([literal(RunState::Running)?, literal(RunState::Cancelling)?]);
    let has_attempts = other(Attempt).gt(SimpleExpr::Constant(0.into()));
    Ok(Query::select()
        .expr(Expr::val(1))
        .from_as(run::Entity, OTHER)
        .and_where(other(Organization).equals((run::Entity, Organization)))
        .and_where(other(ExportUid).equals((run::Entity, ExportUid)))
        .and_where(other(Uid).equals((run::Entity, Uid)).not())
        .and_where(is_leased.or(other(State).eq(literal(RunState::Queued)?).and(has_attempts)))
        .take())
}

/// Leased runs, other than the run of the outer statement, that meet all conditions.
fn leased_runs(conditions: impl Fn(fn(run::Column) -> Expr) -> Vec<SimpleExpr>) -> Result<SelectStatement> {
    let other = |column| Expr::col((OTHER, column));
    let states = [RunState::Running, RunState::Cancelling];
    let literals = states.iter().map(|state| Ok(SimpleExpr::Constant(code(state)?.into())));
    let mut query = Query::select()
        .expr(Expr::val(1))
        .from_as(run::Entity, OTHER)
        .and_where(other(run::Column::State).is_in(literals.collect::<Result<Vec<_>>>()?))
        .take();
    for condition in conditions(other) {
        query.and_where(condition);
    }
    Ok(query)
}

/// The number of rows of a query.
fn count(mut query: SelectStatement) -> SimpleExpr {
    query.clear_selects().expr(Expr::cust("COUNT(*)"));
    SimpleExpr::SubQuery(None, Box::new(query.into()))
}
