//! The audit log: events are written with the change and listed by keys; denied attempts are aggregated per minute.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _};
use serde_json::Value;

use super::Scope;
use super::entities::audit_event;
use super::query::paging::{self, Keys};
use crate::model::audit::{AuditDiff, AuditEvent, AuditFilter, Outcome};
use crate::model::page::{Page, PageRequest};
use crate::model::{Error, Result};

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

const KEYS: Keys<audit_event::Entity> = Keys {
    uid: audit_event::Column::Uid,
    display_name: audit_event::Column::Resource,
    update_time: audit_event::Column::Time,
};

/// Inserts events.
pub async fn insert(db: &impl ConnectionTrait, scope: &Scope<'_>, events: &[AuditEvent]) -> Result<()> {
    for chunk in events.chunks(MAX_ROWS_PER_STATEMENT) {
        let rows = chunk.iter().map(|event| row_of(scope, event, None)).collect::<Result<Vec<_>>>()?;
        let rows = rows.into_iter().map(audit_event::Model::into_active_model);
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
    let row = row_of(scope, event, Some(key))?;
    let add = OnConflict::columns([Organization, Principal, Method, DeniedCode, DeniedMinute])
        .target_and_where(DeniedCode.is_not_null())
        .value(Resource, Expr::cust(MORE_NAMES))
        .value(Count, Expr::col((audit_event::Entity, Count)).add(event.count))
        .to_owned();
    audit_event::Entity::insert(row.into_active_model()).on_conflict(add).exec_without_returning(db).await?;
    Ok(())
}

/// Lists a page of events.
pub async fn list(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditEvent>> {
    use audit_event::Column::{Method, Organization, Principal, Resource, Time};
    let mut query = audit_event::Entity::find().filter(Organization.eq(scope.organization.as_str()));
    for (column, value) in [(Resource, &filter.resource), (Principal, &filter.principal), (Method, &filter.method)] {
        if let Some(value) = value {
            query = query.filter(column.eq(value.as_str()));
        }
    }
    if let Some(start) = filter.start_time {
        query = query.filter(Time.gte(start));
    }
    if let Some(end) = filter.end_time {
        query = query.filter(Time.lt(end));
    }
    let position = |event: &AuditEvent| paging::position(page.order, event.uid, &event.resource, event.time);
    let size = |event: &AuditEvent| {
        let json = |object: &serde_json::Map<String, Value>| Value::Object(object.clone()).to_string().len();
        512 + event.resource.len() + event.reason.len() + json(&event.diff.before) + json(&event.diff.after)
    };
    paging::page(db, &query, &KEYS, page, event_of, position, size).await
}

fn row_of(scope: &Scope<'_>, event: &AuditEvent, denied: Option<&DeniedKey>) -> Result<audit_event::Model> {
    Ok(audit_event::Model {
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
        before: Value::Object(event.diff.before.clone()),
        after: Value::Object(event.diff.after.clone()),
        denied_code: denied.map(|key| key.code.clone()),
        denied_minute: denied.map(|key| key.minute),
        count: event.count,
        call_id: event.call_id.clone(),
        trace_id: event.trace_id.clone(),
        batch_id: event.batch_id,
        reason: event.reason.clone(),
    })
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
