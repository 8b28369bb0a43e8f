//! The audit log: events are written with the change and listed by keys; denied attempts are aggregated per minute.

use std::mem;

use chrono::TimeDelta;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, FromQueryResult as _, IntoActiveModel as _, NotSet,
    QueryFilter as _, QueryResult, QueryTrait as _,
};
use serde_json::Value;
use uuid::Uuid;

use super::entities::audit_event;
use super::query::list::{Keys, List, UidRange};
use super::query::paging;
use super::query::text::{self, Text};
use super::query::time::first_uid_at;
use super::{Reader, Scope, Transaction};
use crate::model::audit::{AuditDiff, AuditEvent, AuditFilter, Outcome};
use crate::model::json::{self, Object};
use crate::model::page::{OrderKey, Page, PageRequest, Position, PositionKey};
use crate::model::{Error, Result};

/// The largest difference between the clocks of a replica and of the database for which filters by time are exact.
const MAX_CLOCK_DIFFERENCE: TimeDelta = TimeDelta::hours(1);
/// Rows per statement.
const MAX_ROWS_PER_STATEMENT: usize = 500;

/// Key of an aggregate of denied attempts, besides principal and method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeniedKey {
    /// gRPC status code.
    pub code: String,
    /// Minutes since 1970-01-01T00:00Z.
    pub minute: i64,
}

/// Keeps the longer list of resource names: each replica writes the names that it saw.
const MORE_NAMES: &str = "CASE WHEN length(excluded.resource) > length(audit_events.resource) \
     THEN excluded.resource ELSE audit_events.resource END";

static KEYS: Keys<audit_event::Entity> = Keys {
    organization: audit_event::Column::Organization,
    uid: audit_event::Column::Uid,
    display_name: audit_event::Column::Resource,
    update_time: audit_event::Column::Time,
    feed: Some(audit_event::Column::FeedPosition),
};

/// Inserts events. They keep the names of changed fields only: the values are moved into the rows.
pub async fn insert(db: &Transaction, scope: &Scope<'_>, events: &mut [AuditEvent]) -> Result<()> {
    static INSERT: Text = Text::new();
    let row_of = |event: &mut AuditEvent| {
        let values = (mem::take(&mut event.diff.before), mem::take(&mut event.diff.after));
        row_of(scope, event, values, None)
    };
    if let [event] = events {
        db.insert(text::insert(db.get_database_backend(), &INSERT, row_of(event)?, None)?, None).await;
        return Ok(());
    }
    for chunk in events.chunks_mut(MAX_ROWS_PER_STATEMENT) {
        let rows = chunk.iter_mut().map(row_of).collect::<Result<Vec<_>>>()?;
        audit_event::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Counts denied attempts: inserts a row, or adds to the count and replaces the names of the row of that minute.
pub async fn count_denied(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    event: &AuditEvent,
    key: &DeniedKey,
) -> Result<()> {
    use audit_event::Column::{Count, DeniedCode, DeniedMinute, Method, Organization, Principal, Resource};
    let values = (event.diff.before.clone(), event.diff.after.clone());
    let row = row_of(scope, event, values, Some(key))?;
    let add = OnConflict::columns([Organization, Principal, Method, DeniedCode, DeniedMinute])
        .target_and_where(DeniedCode.is_not_null())
        .value(Resource, Expr::cust(MORE_NAMES))
        .value(Count, Expr::col((audit_event::Entity, Count)).add(event.count))
        .to_owned();
    audit_event::Entity::insert(row).on_conflict(add).exec_without_returning(db).await?;
    Ok(())
}

/// Lists a page of events.
pub async fn list(
    db: &Reader<'_>,
    scope: &Scope<'_>,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditEvent>> {
    use audit_event::Column::{Method, Organization, Principal, Resource, Time};
    let select = audit_event::Entity::find().filter(Organization.eq(scope.organization.as_str()));
    let mut list = List::new(|| select.clone().into_query(), scope, &KEYS);
    for (column, value) in [(Resource, &filter.resource), (Principal, &filter.principal), (Method, &filter.method)] {
        list.values.extend(value.as_ref().map(|value| (column, value.as_str().into())));
    }
    list.filters.extend(filter.start_time.map(|start| Time.gte(start)));
    list.filters.extend(filter.end_time.map(|end| Time.lt(end)));
    list.uids = uids_near(scope, filter);
    let is_feed = page.order.key == OrderKey::Feed;
    if is_feed && db.get_database_backend() == DbBackend::Postgres {
        // Every transaction before this position has ended. SQLite has one writer.
        list.end = Some(Expr::cust("feed_position < audit_feed_end()"));
    }
    let position = |(event, feed_position): &(AuditEvent, i64)| {
        if is_feed {
            Position { key: PositionKey::Feed(*feed_position), uid: event.uid }
        } else {
            paging::position(page.order, event.uid, &event.resource, event.time)
        }
    };
    let size = |(event, _): &(AuditEvent, i64)| {
        let diff = json::encoded_len(&event.diff.before) + json::encoded_len(&event.diff.after);
        512 + event.resource.len() + event.reason.len() + diff
    };
    let with_position = |row: &QueryResult| {
        let row = audit_event::Model::from_query_result(row, "")?;
        let feed_position = row.feed_position;
        Ok((event_of(row)?, feed_position))
    };
    let Page { items, next } = paging::page(db, list, page, with_position, position, size).await?;
    let next = match next {
        None if is_feed => {
            let start = Position { key: PositionKey::Feed(0), uid: Uuid::nil() };
            Some(items.last().map(position).or_else(|| page.after.clone()).unwrap_or(start))
        }
        next => next,
    };
    Ok(Page { items: items.into_iter().map(|(event, _)| event).collect(), next })
}

/// Limits of the uids of the events of a filter by time. A uid is made at the time of its event, but by the clock of a replica
/// instead of the database's, and without the offset of tests.
fn uids_near(scope: &Scope<'_>, filter: &AuditFilter) -> UidRange {
    let offset = TimeDelta::milliseconds(scope.read_context.clock.offset_ms());
    let start = filter.start_time.and_then(|start| start.checked_sub_signed(offset + MAX_CLOCK_DIFFERENCE));
    let end = filter.end_time.and_then(|end| end.checked_add_signed(MAX_CLOCK_DIFFERENCE));
    UidRange { start: start.map(first_uid_at), end: end.map(first_uid_at) }
}

/// Continues the feed of a dump that was restored into another cluster, whose transactions have smaller numbers than those
/// of stored events.
pub async fn continue_feed(db: &impl ConnectionTrait) -> Result<()> {
    const RAISE_EPOCH: &str = "UPDATE audit_feed SET epoch = epoch + 1 \
         WHERE (SELECT max(feed_position) FROM audit_events) \
             >= (epoch << 48) + pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(RAISE_EPOCH).await?;
    }
    Ok(())
}

fn row_of(
    scope: &Scope<'_>,
    event: &AuditEvent,
    (before, after): (Object, Object),
    denied: Option<&DeniedKey>,
) -> Result<audit_event::ActiveModel> {
    let row = audit_event::Model {
        organization: scope.organization.to_string(),
        uid: event.uid,
        time: event.time,
        principal: event.principal.clone(),
        roles: serde_json::to_value(&event.roles).map_err(Error::internal)?,
        method: event.method.clone(),
        resource: event.resource.clone(),
        resource_uid: event.resource_uid,
        resource_display_name: event.resource_display_name.clone(),
        changed_fields: serde_json::to_value(&event.diff.fields).map_err(Error::internal)?,
        before: Value::Object(before),
        after: Value::Object(after),
        denied_code: denied.map(|key| key.code.clone()),
        denied_minute: denied.map(|key| key.minute),
        count: event.count,
        call_id: event.call_id.clone(),
        trace_id: event.trace_id.clone(),
        batch_id: event.batch_id,
        reason: event.reason.clone(),
        feed_position: 0,
    };
    Ok(audit_event::ActiveModel { feed_position: NotSet, ..row.into_active_model() })
}

fn event_of(row: audit_event::Model) -> Result<AuditEvent> {
    let object = |value: Value| {
        let Value::Object(object) = value else {
            return Err(Error::internal("stored audit values are not an object"));
        };
        Ok(object)
    };
    Ok(AuditEvent {
        uid: row.uid,
        time: row.time,
        principal: row.principal,
        roles: serde_json::from_value(row.roles).map_err(Error::internal)?,
        method: row.method,
        resource: row.resource,
        resource_uid: row.resource_uid,
        resource_display_name: row.resource_display_name,
        diff: AuditDiff {
            fields: serde_json::from_value(row.changed_fields).map_err(Error::internal)?,
            before: object(row.before)?,
            after: object(row.after)?,
        },
        outcome: if row.denied_code.is_some() { Outcome::Denied } else { Outcome::Succeeded },
        count: row.count,
        call_id: row.call_id,
        trace_id: row.trace_id,
        batch_id: row.batch_id,
        reason: row.reason,
    })
}
