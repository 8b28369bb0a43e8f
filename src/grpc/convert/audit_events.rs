//! Requests about the audit log, and audit events as messages.

use super::lists::{List, Paging};
use super::validator::RequestValidator;
use super::values::{object_to_proto, time, time_to_proto};
use crate::grpc::proto as pb;
use crate::model::audit::{AuditEvent, AuditFilter, Outcome};
use crate::model::page::OrderKey;
use crate::model::{OrganizationId, limits};

/// Converts a request of ListAuditEvents.
pub fn list_audit_events(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListAuditEventsRequest,
) -> Option<List<AuditFilter>> {
    validator.deny_foreign_names([request.parent.as_str(), &request.resource]);
    validator.parent(&request.parent);
    let filter = AuditFilter {
        resource: validator.filter("resource", &request.resource, limits::MAX_FILTER_CHARS),
        principal: validator.filter("principal", &request.principal, limits::MAX_FILTER_CHARS),
        method: validator.filter("method", &request.method, limits::MAX_FILTER_CHARS),
        start_time: time(&mut validator.violations, "start_time", request.start_time),
        end_time: time(&mut validator.violations, "end_time", request.end_time),
    };
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: &request.order_by };
    let span = format!("{:?} {:?}", filter.start_time, filter.end_time);
    let arguments = [request.resource.as_str(), &request.principal, &request.method, &span];
    let keys = [("time", OrderKey::CreateTime), ("feed", OrderKey::Feed)];
    List::parse(validator, &paging, &keys, filter, &arguments)
}

/// An audit event.
pub fn to_proto(organization: &OrganizationId, event: AuditEvent) -> pb::AuditEvent {
    let outcome = match event.outcome {
        Outcome::Succeeded => pb::audit_event::Outcome::Succeeded,
        Outcome::Denied => pb::audit_event::Outcome::Denied,
    };
    let id = |uid: Option<uuid::Uuid>| uid.map(|uid| uid.to_string()).unwrap_or_default();
    pb::AuditEvent {
        name: format!("organizations/{organization}/auditEvents/{}", event.uid),
        time: Some(time_to_proto(event.time)),
        principal: event.principal,
        roles: event.roles,
        method: event.method,
        resource: event.resource,
        resource_uid: id(event.resource_uid),
        resource_display_name: event.resource_display_name,
        changed_fields: event.diff.fields,
        before: Some(object_to_proto(event.diff.before)),
        after: Some(object_to_proto(event.diff.after)),
        outcome: outcome.into(),
        count: event.count,
        call_id: event.call_id,
        trace_id: event.trace_id.unwrap_or_default(),
        batch_id: id(event.batch_id),
        reason: event.reason,
    }
}
