//! Pages of a connection's sequence of attachments and releases.
//!
//! A page is read with one SELECT that joins the connection's row with the entries. Both come from one snapshot, so a
//! page that is not full ends the listing at the revision of that row.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, JoinType, Order, Query, SelectStatement, SimpleExpr, UnionType};
use sea_orm::{ColumnTrait as _, ConnectionTrait};

use super::Scope;
use super::entities::{attachment_release, connection, export};
use super::query::columns::Columns;
use super::query::expressions::{availability, now};
use crate::model::schedule::{Schedule, ScheduleCompiler};
use crate::model::{
    Availability, ConnectionUid, Cursor, Error, ExportName, ExportState, ExportUid, ReleaseCause, ResourceId, Result,
    due_time_after,
};

/// Maximum number of entries per page.
pub const MAX_PAGE_ROWS: usize = 500;
/// Maximum number of connections per statement.
const MAX_ROWS_PER_STATEMENT: usize = 500;

/// An attached export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Resource name.
    pub name: ExportName,
    /// Display name.
    pub display_name: String,
    /// Principal that created it.
    pub creator: String,
    /// `Active` or `Blocked`.
    pub state: ExportState,
    /// When it runs next; `None` if it will not run.
    pub due: Option<Due>,
}

/// When an export is due, and what that depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Stored due time; it may have passed.
    pub time: DateTime<Utc>,
    /// Uid of the export.
    pub uid: ExportUid,
    /// Creation time of the export.
    pub create_time: DateTime<Utc>,
    /// Its schedule.
    pub schedule: Option<Schedule>,
}

impl Blocking {
    /// Next time after `time` at which it runs; `None` if it will not run.
    pub fn next_run_time_after(&self, schedules: &ScheduleCompiler, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due = self.due.as_ref().filter(|_| self.state == ExportState::Active)?;
        due_time_after(schedules, due.time, due.schedule.as_ref(), due.uid, due.create_time, time)
    }
}

/// An entry of the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An export was attached and still is.
    Blocking(Box<Blocking>),
    /// An export was released.
    Released(ExportName, ReleaseCause),
}

/// The connection's row in the snapshot of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachmentSnapshot {
    /// Number of attached exports.
    pub count: u64,
    /// The revision at which a completed listing ends.
    pub revision: i64,
    /// The database's time.
    pub time: DateTime<Utc>,
}

/// A page of the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The connection; `None` if it does not exist.
    pub snapshot: Option<AttachmentSnapshot>,
    /// Entries with their revisions, ascending.
    pub events: Vec<(i64, Event)>,
}

impl EventPage {
    /// Whether no entries follow in the snapshot of this page.
    pub fn is_last(&self) -> bool {
        self.events.len() < MAX_PAGE_ROWS
    }
}

/// The attachments of a connection and the database's time; `None` if the connection does not exist.
pub async fn snapshot(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
) -> Result<Option<AttachmentSnapshot>> {
    Ok(snapshots(db, scope, &[connection]).await?.remove(&connection))
}

/// The same for many connections; those that do not exist are omitted.
pub async fn snapshots(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connections: &[ConnectionUid],
) -> Result<HashMap<ConnectionUid, AttachmentSnapshot>> {
    let mut found = HashMap::with_capacity(connections.len());
    for chunk in connections.chunks(MAX_ROWS_PER_STATEMENT) {
        let uid = || Expr::col((connection::Entity, connection::Column::Uid));
        let query = snapshot_query(db, scope)
            .expr_as(uid(), "snapshot_uid")
            .and_where(uid().is_in(chunk.iter().map(|connection| connection.0)))
            .take();
        for row in db.query_all(&query).await? {
            let mut columns = Columns::of(&row);
            let (snapshot, _) = read_snapshot(&mut columns)?;
            found.insert(ConnectionUid(columns.next()?), snapshot);
        }
    }
    Ok(found)
}

/// Whether a connection with recorded releases was deleted. Releases of a deleted connection are kept for a while.
pub async fn is_deleted(db: &impl ConnectionTrait, scope: &Scope<'_>, connection: ConnectionUid) -> Result<bool> {
    if snapshot(db, scope, connection).await?.is_some() {
        return Ok(false);
    }
    let query = Query::select()
        .column(attachment_release::Column::Revision)
        .from(attachment_release::Entity)
        .and_where(attachment_release::Column::Organization.eq(scope.organization.as_str()))
        .and_where(attachment_release::Column::ConnectionUid.eq(connection.0))
        .limit(1)
        .take();
    Ok(db.query_one(&query).await?.is_some())
}

/// The page after a cursor; with `releases`, also the releases since the start of the stream.
pub async fn page(db: &impl ConnectionTrait, scope: &Scope<'_>, cursor: &Cursor, releases: bool) -> Result<EventPage> {
    let entries = if releases {
        let either =
            wrap(blocking_entries(scope, cursor), "b").union(UnionType::All, release_entries(scope, cursor)).take();
        wrap(either, "u").order_by("entry_revision", Order::Asc).limit(MAX_PAGE_ROWS as u64).take()
    } else {
        blocking_entries(scope, cursor)
    };
    let query = snapshot_query(db, scope)
        .and_where(Expr::col((connection::Entity, connection::Column::Uid)).eq(cursor.connection.0))
        .columns(COLUMNS.map(|column| ("p", column)))
        .join_subquery(JoinType::LeftJoin, entries, "p", Expr::val(true))
        .order_by(("p", "entry_revision"), Order::Asc)
        .take();
    let rows = db.query_all(&query).await?;
    let Some(first) = rows.first() else {
        return page_of_deleted(db, scope, cursor, releases).await;
    };
    let (snapshot, availability) = read_snapshot(&mut Columns::of(first))?;
    let is_active = availability == Some(Availability::Active);
    let read = |row| read_event(&mut Columns::after(row, SNAPSHOT_COLUMNS), scope, is_active).transpose();
    let events = rows.iter().filter_map(read).collect::<Result<_>>()?;
    Ok(EventPage { snapshot: Some(snapshot), events })
}

/// The releases of a deleted connection.
async fn page_of_deleted(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    cursor: &Cursor,
    releases: bool,
) -> Result<EventPage> {
    let mut events = Vec::new();
    if releases {
        let query =
            release_entries(scope, cursor).order_by("entry_revision", Order::Asc).limit(MAX_PAGE_ROWS as u64).take();
        for row in db.query_all(&query).await? {
            events.extend(read_event(&mut Columns::of(&row), scope, false)?);
        }
    }
    Ok(EventPage { snapshot: None, events })
}

/// Number of columns of [`snapshot_query`].
const SNAPSHOT_COLUMNS: usize = 4;

fn snapshot_query(db: &impl ConnectionTrait, scope: &Scope<'_>) -> SelectStatement {
    use connection::Column::{AttachedExportCount, AttachmentRevision, Organization};
    let column = |column| Expr::col((connection::Entity, column));
    Query::select()
        .expr_as(column(AttachedExportCount), "snapshot_count")
        .expr_as(column(AttachmentRevision), "snapshot_revision")
        .expr_as(availability(db.get_database_backend(), scope.read_context), "availability")
        .expr_as(now(db.get_database_backend(), scope.read_context), "snapshot_time")
        .from(connection::Entity)
        .and_where(column(Organization).eq(scope.organization.as_str()))
        .take()
}

fn blocking_entries(scope: &Scope<'_>, cursor: &Cursor) -> SelectStatement {
    use export::Column::{
        AttachedRevision, ConnectionUid, CreateTime, Creator, DisplayName, Id, NextDueTime, Organization, Schedule, Uid,
    };
    Query::select()
        .expr_as(AttachedRevision.into_expr(), "entry_revision")
        .expr_as(Id.into_expr(), "entry_id")
        .expr_as(DisplayName.into_expr(), "entry_display_name")
        .expr_as(Creator.into_expr(), "entry_creator")
        .expr_as(null("text"), "entry_cause")
        .expr_as(NextDueTime.into_expr(), "entry_due_time")
        .expr_as(Uid.into_expr(), "entry_uid")
        .expr_as(CreateTime.into_expr(), "entry_create_time")
        .expr_as(Schedule.into_expr(), "entry_schedule")
        .from(export::Entity)
        .and_where(Organization.eq(scope.organization.as_str()))
        .and_where(ConnectionUid.eq(cursor.connection.0))
        .and_where(AttachedRevision.gt(cursor.last_revision))
        .order_by(AttachedRevision, Order::Asc)
        .limit(MAX_PAGE_ROWS as u64)
        .take()
}

fn release_entries(scope: &Scope<'_>, cursor: &Cursor) -> SelectStatement {
    use attachment_release::Column::{Cause, ConnectionUid, ExportId, Organization, ReleaseTime, Revision};
    let limited = Query::select()
        .expr_as(Revision.into_expr(), "entry_revision")
        .expr_as(ExportId.into_expr(), "entry_id")
        .expr_as(ExportId.into_expr(), "entry_display_name")
        .expr_as(ExportId.into_expr(), "entry_creator")
        .expr_as(Cause.into_expr(), "entry_cause")
        .expr_as(ReleaseTime.into_expr(), "entry_due_time")
        .expr_as(null("uuid"), "entry_uid")
        .expr_as(null("timestamptz"), "entry_create_time")
        .expr_as(null("jsonb"), "entry_schedule")
        .from(attachment_release::Entity)
        .and_where(Organization.eq(scope.organization.as_str()))
        .and_where(ConnectionUid.eq(cursor.connection.0))
        .and_where(Revision.gt(Ord::max(cursor.last_revision, cursor.start_revision)))
        .order_by(Revision, Order::Asc)
        .limit(MAX_PAGE_ROWS as u64)
        .take();
    wrap(limited, "r")
}

fn null(sql_type: &'static str) -> SimpleExpr {
    Expr::val(None::<String>).cast_as(Alias::new(sql_type))
}

/// Wraps entries into a subquery: SQLite does not allow LIMIT in a member of a UNION.
fn wrap(limited: SelectStatement, alias: &'static str) -> SelectStatement {
    Query::select().columns(COLUMNS).from_subquery(limited, alias).take()
}

/// The columns of an entry.
const COLUMNS: [&str; 9] = [
    "entry_revision",
    "entry_id",
    "entry_display_name",
    "entry_creator",
    "entry_cause",
    "entry_due_time",
    "entry_uid",
    "entry_create_time",
    "entry_schedule",
];

/// Reads the row of the connection, and whether exports on it can run.
fn read_snapshot(columns: &mut Columns<'_>) -> Result<(AttachmentSnapshot, Option<Availability>)> {
    let count = u64::try_from(columns.next::<i64>()?).map_err(Error::internal)?;
    let revision = columns.next()?;
    let availability = Availability::from_code(columns.next()?);
    Ok((AttachmentSnapshot { count, revision, time: columns.next()? }, availability))
}

/// Reads an entry; `None` if the connection has none.
fn read_event(columns: &mut Columns<'_>, scope: &Scope<'_>, is_active: bool) -> Result<Option<(i64, Event)>> {
    let Some(revision) = columns.next::<Option<i64>>()? else { return Ok(None) };
    let name = ExportName { organization: scope.organization.clone(), id: ResourceId::stored(columns.next()?) };
    let (display_name, creator) = (columns.next()?, columns.next()?);
    if let Some(cause) = columns.next::<Option<String>>()? {
        let cause = ReleaseCause::parse(&cause).ok_or_else(|| Error::internal("unknown cause"))?;
        return Ok(Some((revision, Event::Released(name, cause))));
    }
    let due = match columns.next()? {
        Some(time) => {
            let (uid, create_time) = (ExportUid(columns.next()?), columns.next()?);
            Some(Due { time, uid, create_time, schedule: columns.optional_json()? })
        }
        None => None,
    };
    let state = if is_active { ExportState::Active } else { ExportState::Blocked };
    Ok(Some((revision, Event::Blocking(Box::new(Blocking { name, display_name, creator, state, due })))))
}
