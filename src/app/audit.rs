//! The audit log: listing it, and its copy on the service's own log.

use super::App;
use crate::model::audit::{AuditEvent, AuditFilter, Outcome};
use crate::model::page::{Page, PageRequest};
use crate::model::{Call, OrganizationId, Result, Role};
use crate::store;

impl App {
    /// Lists audit events, the denied attempts still queued included.
    pub async fn list_audit_events(
        &self,
        call: &Call,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>> {
        let scope = self.read_scope(call, Role::Admin)?;
        self.0.denials.flush().await;
        store::audit::list(&self.0.store.reader().await?, &scope, filter, page).await
    }
}

/// One line for each event, once it is committed.
pub(super) fn log(organization: &OrganizationId, event: &AuditEvent) {
    let outcome = match event.outcome {
        Outcome::Succeeded => "changed",
        Outcome::Denied => "denied",
    };
    tracing::info!(
        target: "audit",
        %organization,
        principal = %event.principal,
        method = %event.method,
        resource = %event.resource,
        changed_fields = ?event.changes.fields,
        call_id = %event.call_id,
        batch_id = event.batch_id.map(tracing::field::display),
        count = event.count,
        reason = %event.reason,
        "{outcome}"
    );
}
