//! Implements DuplicateExport.

use super::{attachment, settings, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{AttachmentState, Export, ExportUid, Member, ResourceId, Result, limits};

/// Copies an export. The schedule of the copy is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateExport {
    /// The export to copy.
    pub source: ResourceId,
    /// The id that the caller chose for the copy; `None` to use its uid.
    pub id: Option<ResourceId>,
    /// The display name of the copy; empty: "Copy of" and that of the source.
    pub display_name: String,
}

impl Mutation for DuplicateExport {
    type Response = Export;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let source = stored::single(stored::lock_managed(tx, std::slice::from_ref(&self.source), None).await?, "")?;
        let uid = ExportUid::new();
        let id = self.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
        let principal = tx.context.actor.principal();
        let mut copy = Export {
            name: stored::name(tx, &id),
            uid,
            display_name: display_name(&self.display_name, &source.display_name),
            schedule_pause: None,
            next_due_time: None,
            owner: Member::user(&principal),
            creator: principal.clone(),
            create_time: tx.now,
            updater: principal,
            update_time: tx.now,
            revision: 1,
            ..source
        };
        if let Some(schedule) = &mut copy.schedule {
            schedule.enabled = false;
        }
        if let AttachmentState::Detached(detachment) = &mut copy.attachment_state {
            // The copy was not detached in that batch.
            detachment.batch_id = None;
        }
        settings::check_delivery(tx.app, &mut copy, "")?;
        settings::check_size(tx, &copy, None, "display_name")?;
        let affected = stored::affected(&copy);
        attachment::insert_copy(tx, copy).await?;
        Ok(affected)
    }
}

fn display_name(given: &str, source: &str) -> String {
    if given.is_empty() {
        format!("Copy of {source}").chars().take(limits::MAX_DISPLAY_NAME_CHARS).collect()
    } else {
        given.to_owned()
    }
}
