//! CreateExport.

use super::{answer, changes, effect_of, settings, subject, target};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::schedule::Schedule;
use crate::model::text::{Labels, Object};
use crate::model::{
    Call, CallerAccess, ConnectionName, Export, ExportName, ExportUid, AttachmentState, Mutation, Payload, ResourceId, Result,
    Role,
};
use crate::store;
use crate::store::locks::{self, LockMode};

/// What a caller may say of a new export.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportDraft {
    /// What people call it.
    pub display_name: String,
    /// What people say about it.
    pub description: String,
    /// The connection that it uses.
    pub connection: ConnectionName,
    /// What leaves.
    pub payload: Payload,
    /// How often.
    pub schedule: Option<Schedule>,
    /// The type's export settings.
    pub destination_settings: Object,
    /// Labels.
    pub labels: Labels,
}

/// An export to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateExport {
    /// The id that the caller chose.
    pub id: Option<ResourceId>,
    /// What it is to be.
    pub draft: ExportDraft,
}

impl App {
    /// Creates an export on a connection that the caller may use.
    pub async fn create_export(&self, call: &Call, mutation: Mutation, input: CreateExport) -> Result<Export> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(create(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }
}

async fn create(change: &Change<'_>, input: &CreateExport) -> Result<Effect> {
    change.require(Role::Contributor)?;
    let draft = &input.draft;
    let target = target::find(change, &draft.connection).await?;
    locks::connections(change.db, change.scope, &[target].into(), LockMode::Update).await?;
    let connection = target::locked(change, &draft.connection, target).await?;

    let destination_settings = settings::check(
        change.app,
        &connection.connection_type,
        &draft.destination_settings,
        "export.destination_settings",
    )?;
    let uid = ExportUid::new();
    let id = input.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
    let principal = &change.call.caller.principal;
    let mut export = Export {
        name: ExportName { organization: change.scope.organization.clone(), id },
        uid,
        display_name: draft.display_name.clone(),
        description: draft.description.clone(),
        connection_type: connection.connection_type.clone(),
        attachment_state: AttachmentState::Attached(target::attachment(&connection, 0)),
        payload: draft.payload.clone(),
        schedule: draft.schedule.clone(),
        destination_settings,
        next_due_time: None,
        caller_access: CallerAccess::Manage,
        labels: draft.labels.clone(),
        creator: principal.clone(),
        create_time: change.now,
        updater: principal.clone(),
        update_time: change.now,
        revision: 1,
    };
    settings::check_schedule(change, &export, export.schedule.as_ref(), "export.schedule")?;
    settings::check_size(&export, None, "export")?;
    export.next_due_time = export.first_due_time(change.now);
    let before = store::attachments::reserve_revisions(change.db, change.scope, target, 1).await?;
    export.attachment_state = AttachmentState::Attached(target::attachment(&connection, before + 1));
    store::exports::insert(change.db, &export).await?;
    change.audit(&subject(&export), changes::between(None, Some(&export)), None, "");
    Ok(effect_of(&export))
}
