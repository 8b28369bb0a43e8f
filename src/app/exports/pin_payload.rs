//! Lists the fields of payloads that were saved without them.

use super::{settings, stored};
use crate::app::{Affected, App, Mutation, MutationTx};
use crate::model::{Export, ExportUid, InvalidRequest, OpContext, Payload, ResourceId, Result};
use crate::store::runs::changes::{self, Attempt};

/// Replaces a payload without fields by one that lists them.
struct PinPayload {
    id: ResourceId,
    /// Another export may have the id by now.
    uid: ExportUid,
    /// The revision that the attempt leased.
    revision: i64,
    /// The payload that is replaced.
    before: Payload,
    after: Payload,
    /// The attempt that uses the new payload.
    attempt: Attempt,
}

impl App {
    /// Lists the fields in the payload of an export that was saved while the organization had no source of datasets. From
    /// then on, a new field of a dataset does not leave by itself. Returns the payload, which the attempt uses.
    pub async fn pin_payload(&self, context: &OpContext, export: &Export, attempt: Attempt) -> Result<Payload> {
        if export.payload.tables.iter().all(|table| !table.fields.is_empty()) {
            return Ok(export.payload.clone());
        }
        let mut request = InvalidRequest::default();
        let checked = self.check_payload(context, &export.payload, "payload").await;
        let after = checked.payload(&mut request, &export.payload)?;
        request.into_result()?;
        let (id, revision, before) = (export.name.id.clone(), export.revision, export.payload.clone());
        self.execute(context, PinPayload { id, uid: export.uid, revision, before, after: after.clone(), attempt })
            .await?;
        Ok(after)
    }
}

impl Mutation for PinPayload {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock_managed(tx, std::slice::from_ref(&self.id), None).await?;
        let before = stored::single(before, "")?;
        if before.uid == self.uid && before.payload == self.before {
            let mut after = Export { payload: self.after.clone(), ..before.clone() };
            settings::check_size(tx, &after, Some(&before), "payload")?;
            stored::save(tx, &before, &mut after, None).await?;
            // After another change in between, the attempt still uses what it leased.
            if before.revision == self.revision {
                changes::set_export_revision(tx.db, &tx.scope, self.attempt, after.revision).await?;
            }
        }
        Ok(stored::affected(&before))
    }
}
