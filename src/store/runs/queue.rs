//! The queue: which run is leased next.
//!
//! A lease is taken in a transaction that locks the connection, the export and the run, so that it is ordered with every
//! change of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    CaseStatement, CommonTableExpression, Expr, ExprTrait as _, IntoIden as _, LockBehavior, LockType, Order, Query,
    SelectStatement, SimpleExpr, UnionType, WithClause,
};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, FromQueryResult, JoinType, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect, RelationTrait as _, Statement, Value,
};
use uuid::Uuid;

use super::in_states;
use super::rows::{FORMAT_VERSION, code, unsigned};
use crate::model::{ConnectionState, Error, OrganizationId, Result, RunState, RunStats};
use crate::store::entities::run::Column::ConnectionUid;
use crate::store::entities::{connection, export, run};
use crate::store::query::expressions::{availability, in_state, now, now_plus};
use crate::store::query::lookup;
use crate::store::{ReadContext, Scope, Transaction};

/// The second key of PostgreSQL's advisory lock on the leases of an organization.
const ADVISORY_LOCK_SEED: i64 = 0x6f75_7466_6c6f_7702;

/// The name of `runs` in subqueries of a query of runs.
const OTHER: &str = "other";
/// The name of the organizations that a query has found.
const FOUND: &str = "found";

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

/// Organizations that have runs to lease, at most `limit`, in byte order after `after`.
pub async fn organizations_with_queued(
    db: &impl ConnectionTrait,
    read_context: &ReadContext,
    after: &str,
    limit: u64,
) -> Result<Vec<OrganizationId>> {
    use run::Column::{NextAttemptTime, Organization, Uid};
    let is_queued = in_states(&[RunState::Queued])?;
    let next_after = |after: SimpleExpr| {
        let next = Query::select()
            .column((run::Entity, Organization))
            .from(run::Entity)
            .and_where(is_queued.clone())
            .and_where(Expr::col((run::Entity, NextAttemptTime)).lte(now(db.get_database_backend(), read_context)))
            .and_where(Expr::col((run::Entity, Organization)).gt(after))
            .order_by_columns([Organization, NextAttemptTime, Uid].map(|column| ((run::Entity, column), Order::Asc)))
            .limit(1)
            .take();
        SimpleExpr::SubQuery(None, Box::new(next.into()))
    };
    // One search in the index `runs_queue`, whose order it names, per organization: DISTINCT would read all queued runs.
    let last = Expr::col((FOUND, Organization));
    let following = Query::select().expr(next_after(last.clone())).from(FOUND).and_where(last.is_not_null()).take();
    let all = Query::select().expr(next_after(Expr::val(after))).union(UnionType::All, following).take();
    let found = CommonTableExpression::new().table_name(FOUND).column(Organization).query(all).to_owned();
    let query = Query::select()
        .column(Organization)
        .from(FOUND)
        .and_where(Expr::col(Organization).is_not_null())
        .limit(limit)
        .take()
        .with(WithClause::new().recursive(true).cte(found).to_owned());
    let organizations = db.query_all(&query).await?;
    let parse = |row: QueryResult| {
        let text: String = row.try_get_by_index(0)?;
        OrganizationId::parse(&text).ok_or_else(|| Error::internal("a stored organization id"))
    };
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
    let in_organization = leased_runs(|other| vec![other(run::Column::Organization).eq(scope.organization.as_str())])?;
    // Like the count of the organization it does not depend on the run, and is computed once.
    let full_types = in_organization
        .clone()
        .clear_selects()
        .column((OTHER, Column::ConnectionType))
        .group_by_col((OTHER, Column::ConnectionType))
        .and_having(Expr::cust("COUNT(*)").gte(i64::from(limits.per_connection_type)))
        .take();
    let mut query = run::Entity::find()
        .select_only()
        .columns([Column::Uid, Column::RowsRead, Column::RowsWritten, Column::BytesWritten, Column::Files])
        .join(JoinType::InnerJoin, run::Relation::Connection.def())
        .join(JoinType::InnerJoin, run::Relation::Export.def())
        .filter(run::Column::Organization.eq(scope.organization.as_str()))
        .filter(in_states(&[RunState::Queued])?)
        .filter(run::Column::FormatVersion.lte(FORMAT_VERSION))
        .filter(run::Column::NextAttemptTime.into_expr().lte(now(backend, scope.read_context)))
        .filter(Expr::col((export::Entity, export::Column::ConnectionUid)).equals((run::Entity, ConnectionUid)))
        .filter(in_state(availability(backend, scope.read_context), ConnectionState::Active))
        .filter(count(in_organization).lt(i64::from(limits.per_organization)))
        .filter(Column::ConnectionType.not_in_subquery(full_types))
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
        .col_expr(Column::FormatVersion, Expr::val(FORMAT_VERSION))
        .col_expr(Column::ExportRevision, SimpleExpr::SubQuery(None, Box::new(revision.into())))
        .filter(Column::Organization.eq(scope.organization.as_str()))
        .filter(Column::Uid.eq(uid))
        .exec(db)
        .await?;
    Ok(())
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
