//! Stored runs within a mutation.

use uuid::Uuid;

use crate::app::{Affected, MutationTx, ReadBack};
use crate::model::audit::{AuditDiff, AuditResource};
use crate::model::{Error, Export, ResourceKind, Result, Run, RunName};
use crate::store;

/// A run that was found by the uid of its name, if its export has the id of the name now.
pub fn named(found: Option<Run>, name: &RunName) -> Result<Run> {
    let found = found.filter(|run| name.export.is_none() || run.name.export == name.export);
    found.ok_or_else(|| Error::NotFound(ResourceKind::ExportRun, name.to_string()))
}

/// Records in the audit log that a run of an export was started or cancelled.
pub fn audit(tx: &mut MutationTx<'_>, run: &Run, field: &str, batch_id: Option<Uuid>) {
    let resource =
        AuditResource { uid: run.name.uid, name: run.name.to_string(), display_name: run.export_display_name.clone() };
    tx.audit(resource, AuditDiff::new().field(field, (), true), batch_id, "");
}

/// The name of a run of an export.
pub fn name(export: &Export, uid: Uuid) -> RunName {
    RunName { organization: export.name.organization.clone(), export: Some(export.name.id.clone()), uid }
}

impl ReadBack for Run {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        let (uid, name) = affected.single()?;
        let found = store::runs::get(tx.db, &tx.scope, *uid).await?;
        found.ok_or_else(|| Error::NotFound(ResourceKind::ExportRun, name.clone()))
    }
}
