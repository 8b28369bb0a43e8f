//! Runs: insert, find and list. Due times are in `due`, which run is leased next in `queue`, leases that are held in `leases`,
//! other changes of state in `changes`, and what ended runs left at their destinations in `remains`.

pub mod changes;
pub mod due;
pub mod leases;
pub mod queue;
pub mod remains;
mod rows;

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, IntoActiveModel as _, JoinType,
    QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait, RelationTrait as _, Select,
    TryInsertResult,
};
use uuid::Uuid;

use super::entities::{export, run};
use super::query::columns::Columns;
use super::query::list::{Keys, List, UidRange};
use super::query::lookup;
use super::query::paging;
use super::query::time::first_uid_at;
use super::{Reader, Scope};
use crate::model::page::{Page, PageRequest};
use crate::model::{ExportUid, LastRun, Result, Run, RunFilter, RunState};
pub use rows::FORMAT_VERSION;
use rows::{Row, code, decode, row_of};

static KEYS: Keys<run::Entity> = Keys {
    organization: run::Column::Organization,
    uid: run::Column::Uid,
    display_name: run::Column::Uid,
    update_time: run::Column::Uid,
    feed: None,
};

/// The columns of [`read_newest`].
const NEWEST_COLUMNS: [run::Column; 5] =
    [run::Column::Uid, run::Column::State, run::Column::CreateTime, run::Column::EndTime, run::Column::FailureCode];

/// Inserts a run. Returns `false` without inserting if the due time has a run already, or if an unfinished run of the
/// export is in the way.
pub async fn insert(db: &impl ConnectionTrait, run: &Run) -> Result<bool> {
    let keep = OnConflict::new().do_nothing().to_owned();
    let row = row_of(run)?.into_active_model();
    let inserted = run::Entity::insert(row).on_conflict(keep).try_insert().exec_without_returning(db).await?;
    Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
}

/// Finds a run by uid.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: Uuid) -> Result<Option<Run>> {
    let found: Option<Row> = lookup::fetch_one(db, select(scope).filter(run::Column::Uid.eq(uid))).await?;
    found.map(|row| row.into_model(scope)).transpose()
}

/// Finds runs by uid, in no particular order.
pub async fn get_many(db: &impl ConnectionTrait, scope: &Scope<'_>, uids: &[Uuid]) -> Result<Vec<Run>> {
    let query = select(scope).filter(run::Column::Uid.is_in(uids.iter().copied()));
    query.into_model::<Row>().all(db).await?.into_iter().map(|row| row.into_model(scope)).collect()
}

/// Adds the newest run of each export to a statement, to be read with [`read_newest`].
pub fn with_newest(exports: &mut SelectStatement) -> &mut SelectStatement {
    let of_export = Expr::col((run::Entity, run::Column::Organization))
        .equals((export::Entity, export::Column::Organization))
        .and(Expr::col((run::Entity, run::Column::Uid)).eq(newest_of_export()));
    let columns = NEWEST_COLUMNS.map(|column| (run::Entity, column));
    exports.join(JoinType::LeftJoin, run::Entity, of_export).columns(columns)
}

/// Reads the newest run, if there is one.
pub fn read_newest(columns: &mut Columns<'_>) -> Result<Option<LastRun>> {
    let (uid, state): (Option<Uuid>, Option<String>) = (columns.next()?, columns.next()?);
    let (create_time, end_time, failure): (_, _, Option<String>) = (columns.next()?, columns.next()?, columns.next()?);
    let (Some(uid), Some(state), Some(create_time)) = (uid, state, create_time) else { return Ok(None) };
    let failure = failure.map(decode).transpose()?;
    Ok(Some(LastRun { uid, state: decode(state)?, create_time, end_time, failure }))
}

/// Selects the uid of the newest run of the export of a row; [`last_runs`] finds the run. The planner knows a literal limit.
pub fn newest_of_export() -> SimpleExpr {
    Expr::cust(
        "(SELECT of_export.uid FROM runs AS of_export WHERE of_export.organization = exports.organization \
         AND of_export.export_uid = exports.uid ORDER BY of_export.uid DESC LIMIT 1)",
    )
}

/// Finds the newest runs of exports by the uids of these runs. There is one for each export, `None` if it has no runs, so that the
/// text of the statement depends on the number of exports only. PostgreSQL would read all runs of the organization for a subquery
/// in their place, as long as it expects few.
pub async fn last_runs(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uids: Vec<Option<Uuid>>,
) -> Result<HashMap<Uuid, LastRun>> {
    if uids.iter().all(Option::is_none) {
        return Ok(HashMap::new());
    }
    let query = run::Entity::find()
        .select_only()
        .columns(NEWEST_COLUMNS)
        .filter(run::Column::Organization.eq(scope.organization.as_str()))
        .filter(run::Column::Uid.is_in(uids));
    let mut runs = HashMap::new();
    for row in db.query_all(&query.into_query()).await? {
        runs.extend(read_newest(&mut Columns::of(&row))?.map(|run| (run.uid, run)));
    }
    Ok(runs)
}

/// The unfinished runs of an export, the oldest first; at most two.
pub async fn unfinished(db: &impl ConnectionTrait, scope: &Scope<'_>, export: ExportUid) -> Result<Vec<Run>> {
    let query = select(scope)
        .filter(run::Column::ExportUid.eq(export.0))
        .filter(in_states(&[RunState::Queued, RunState::Running, RunState::Cancelling])?)
        .order_by_asc(run::Column::Uid);
    query.into_model::<Row>().all(db).await?.into_iter().map(|row| row.into_model(scope)).collect()
}

/// Lists a page of runs. `export` is the uid of the export that the filter names.
pub async fn list(
    db: &Reader<'_>,
    scope: &Scope<'_>,
    filter: &RunFilter,
    export: Option<ExportUid>,
    page: &PageRequest,
) -> Result<Page<Run>> {
    use run::Column::{ConnectionId, State, Trigger};
    let state = filter.state.map(|state| code(&state)).transpose()?;
    let trigger = filter.trigger.map(|trigger| code(&trigger)).transpose()?;
    let mut list = List::new(|| select(scope).into_query(), scope, &KEYS);
    let connection = filter.connection.as_ref().map(|connection| (ConnectionId, connection.as_str().into()));
    let by_state = state.map(|state| (State, state.into()));
    // Most runs have ended.
    let is_unfinished = filter.state.is_some_and(|state| !state.is_final());
    let by_value = if is_unfinished { [by_state, connection] } else { [connection, by_state] };
    list.values.extend(export.map(|export| (run::Column::ExportUid, export.0.into())));
    list.values.extend(by_value.into_iter().flatten());
    list.values.extend(trigger.map(|trigger| (Trigger, trigger.into())));
    list.uids = UidRange { start: filter.start_time.map(first_uid_at), end: filter.end_time.map(first_uid_at) };
    let position = |run: &Run| paging::position(page.order, run.name.uid, "", run.create_time);
    let size = |run: &Run| 512 + run.failure.as_ref().map_or(0, |failure| failure.detail.len());
    let read = |row: &QueryResult| Row::from_query_result(row, "")?.into_model(scope);
    paging::page(db, list, page, read, position, size).await
}

/// Locks a run until the transaction ends. The export that it belongs to is locked before.
pub async fn lock(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: Uuid) -> Result<()> {
    let query = run::Entity::find()
        .select_only()
        .column(run::Column::Uid)
        .filter(run::Column::Organization.eq(scope.organization.as_str()))
        .filter(run::Column::Uid.eq(uid))
        .lock_exclusive();
    let _: Option<Uuid> = lookup::fetch_scalar(db, query).await?;
    Ok(())
}

fn select(scope: &Scope<'_>) -> Select<run::Entity> {
    run::Entity::find()
        .join(JoinType::LeftJoin, run::Relation::Export.def())
        .expr_as(Expr::col((export::Entity, export::Column::Id)), "export_id")
        .filter(run::Column::Organization.eq(scope.organization.as_str()))
}

/// Whether a run is in one of these states. The states are literals, so that partial indexes apply.
pub(super) fn in_states(states: &[RunState]) -> Result<SimpleExpr> {
    let literals: Vec<_> =
        states.iter().map(|state| Ok(SimpleExpr::Constant(code(state)?.into()))).collect::<Result<_>>()?;
    Ok(Expr::col((run::Entity, run::Column::State)).is_in(literals))
}

/// The runs that a replica or another holds a lease of.
fn leased() -> Result<SimpleExpr> {
    in_states(&[RunState::Running, RunState::Cancelling])
}
