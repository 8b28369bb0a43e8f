//! ListAuditEvents, and the denied attempts that are counted for it.

use tracing::{Instrument as _, Span};

use super::{App, DeniedAttempt};
use crate::model::audit::{AuditEvent, AuditFilter};
use crate::model::page::{Page, PageRequest};
use crate::model::{Error, OpContext, Result};
use crate::store;

impl App {
    /// Lists audit events, including denied attempts that are still in memory.
    pub async fn list_audit_events(
        &self,
        context: &OpContext,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditEvent>> {
        if let Err(error) = self.flush_denied_attempts().await {
            tracing::warn!(target: "audit", %error, "failed to write denied attempts before a list");
        }
        store::audit_events::list(&self.reader(context), &self.scope(context), filter, page).await
    }

    /// Counts a denied attempt for the audit log. Never waits.
    pub fn record_denied_attempt(&self, attempt: DeniedAttempt) {
        self.0.denied_attempts.record(attempt);
    }

    /// Writes the denied attempts that were counted since the last flush.
    pub async fn flush_denied_attempts(&self) -> Result<()> {
        let app = self.clone();
        // In a task of its own: a flush that is cancelled after its commit would write the same counts again.
        let flush = async move { app.0.denied_attempts.flush().await };
        self.0.parts.tasks.spawn(flush.instrument(Span::current())).await.map_err(Error::internal)?
    }
}
