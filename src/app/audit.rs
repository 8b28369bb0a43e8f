//! The copy of the audit log on the service's own log.

use crate::model::OrganizationId;
use crate::model::audit::{AuditEvent, Outcome};

/// Logs an event once it is committed, on one line with `target = audit`.
pub fn log(organization: &OrganizationId, event: &AuditEvent) {
    let message = match event.outcome {
        Outcome::Succeeded => "changed",
        Outcome::Denied => "denied",
    };
    tracing::info!(
        target: "audit",
        %organization,
        principal = %event.principal,
        method = %event.method,
        resource = %event.resource,
        changed_fields = ?event.diff.fields,
        call_id = %event.call_id,
        batch_id = event.batch_id.map(tracing::field::display),
        count = event.count,
        reason = %event.reason,
        "{message}"
    );
}
