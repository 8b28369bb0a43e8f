//! DuplicateExport: the same again, with its schedule off.

use super::{answer, changes, effect_of, lock_managed, settings, single, subject};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::{Call, Export, ExportName, ExportUid, AttachmentState, Mutation, ResourceId, Result, limits};
use crate::store;

/// An export to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateExport {
    /// Which.
    pub source: ResourceId,
    /// The id that the caller chose for the copy.
    pub id: Option<ResourceId>,
    /// What people will call the copy; empty: a copy of the source's.
    pub display_name: String,
}

impl App {
    /// Copies an export.
    pub async fn duplicate_export(&self, call: &Call, mutation: Mutation, input: DuplicateExport) -> Result<Export> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(duplicate(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }
}

async fn duplicate(change: &Change<'_>, input: &DuplicateExport) -> Result<Effect> {
    let source = single(lock_managed(change, &[&input.source], None).await?, "")?;
    let uid = ExportUid::new();
    let id = input.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
    let principal = &change.call.caller.principal;
    let mut copy = Export {
        name: ExportName { organization: change.scope.organization.clone(), id },
        uid,
        display_name: display_name(&input.display_name, &source.display_name),
        next_due_time: None,
        creator: principal.clone(),
        create_time: change.now,
        updater: principal.clone(),
        update_time: change.now,
        revision: 1,
        ..source
    };
    if let Some(schedule) = &mut copy.schedule {
        schedule.enabled = false;
    }
    settings::check_size(&copy, None, "display_name")?;
    match &mut copy.attachment_state {
        AttachmentState::Attached(attachment) => {
            let before = store::attachments::reserve_revisions(change.db, change.scope, attachment.uid, 1).await?;
            attachment.revision = before + 1;
        }
        // The copy was part of no batch.
        AttachmentState::Detached(detachment) => detachment.batch_id = None,
    }
    store::exports::insert(change.db, &copy).await?;
    change.audit(&subject(&copy), changes::between(None, Some(&copy)), None, "");
    Ok(effect_of(&copy))
}

fn display_name(asked: &str, source: &str) -> String {
    if asked.is_empty() {
        format!("Copy of {source}").chars().take(limits::DISPLAY_NAME_CHARS).collect()
    } else {
        asked.to_owned()
    }
}
