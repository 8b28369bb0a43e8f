//! Implements CreateExport.

use super::{attachment, settings, stored};
use crate::app::datasets::PayloadCheck;
use crate::app::{Affected, App, Mutation, MutationTx, quotas};
use crate::model::json::{Labels, Object};
use crate::model::schedule::Schedule;
use crate::model::{
    CallerAccess, Connection, ConnectionName, Export, ExportName, ExportUid, InvalidRequest, Member, OpContext,
    Payload, ResourceId, Result,
};

/// Creates an export on a connection that the caller may use.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateExport {
    /// The id that the caller chose; `None` to use the uid.
    pub id: Option<ResourceId>,
    /// The new export.
    pub draft: ExportDraft,
    /// The result of the check of its payload, which is made before the transaction.
    pub payload_check: PayloadCheck,
    /// Whether it is a preview. Its files may have the names of those of another export, such as the one that it changes.
    pub is_preview: bool,
}

/// Fields of a new export that a caller sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportDraft {
    /// Display name.
    pub display_name: String,
    /// Free-form description.
    pub description: String,
    /// The connection that it uses.
    pub connection: ConnectionName,
    /// Data to export.
    pub payload: Payload,
    /// The schedule; `None`: no scheduled runs.
    pub schedule: Option<Schedule>,
    /// The settings of the connection type for exports.
    pub destination_settings: Object,
    /// Labels by key.
    pub labels: Labels,
    /// The owner; `None`: the creator.
    pub owner: Option<Member>,
}

impl Mutation for CreateExport {
    type Response = Export;

    const CHECKS_FIELDS: bool = true;

    async fn prepare(&mut self, app: &App, context: &OpContext) {
        self.payload_check = app.check_payload(context, &self.draft.payload, "export.payload").await;
    }

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        if !self.is_preview {
            quotas::check_exports(tx.app.quotas(), tx.db, &tx.scope).await?;
        }
        let connection = attachment::reserve_target(tx, &self.draft.connection).await?;
        let mut request = InvalidRequest::default();
        let mut export = self.new_export(tx, &connection);
        let path = "export.destination_settings";
        let given = &self.draft.destination_settings;
        export.destination_settings = settings::check(tx.app, &mut request, &connection.connection_type, given, path);
        export.payload = self.payload_check.payload(&mut request, &self.draft.payload)?;
        request.collect(settings::check_delivery(tx.app, &mut export, "export."))?;
        request.collect(settings::check_schedule(tx, &export, export.schedule.as_ref(), "export.schedule"))?;
        request.finish(settings::check_size(tx, &export, None, "export"))?;
        if self.is_preview {
            export.file_name = None;
        }
        export.next_due_time = export.first_due_time(tx.app.schedules(), tx.now);
        attachment::insert(tx, &export).await?;
        let affected = stored::affected(&export);
        tx.export = Some(export);
        Ok(affected)
    }
}

impl CreateExport {
    /// The export as it is given.
    fn new_export(&self, tx: &MutationTx<'_>, connection: &Connection) -> Export {
        let uid = ExportUid::new();
        let id = self.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
        let (draft, principal) = (&self.draft, tx.context.actor.principal());
        Export {
            name: ExportName { organization: tx.scope.organization.clone(), id },
            uid,
            display_name: draft.display_name.clone(),
            description: draft.description.clone(),
            connection_type: connection.connection_type.clone(),
            attachment_state: attachment::attached_to(connection, connection.attachment_revision),
            payload: draft.payload.clone(),
            schedule: draft.schedule.clone(),
            destination_settings: draft.destination_settings.clone(),
            file_name: None,
            schedule_pause: None,
            next_due_time: None,
            caller_access: CallerAccess::Manage,
            labels: draft.labels.clone(),
            owner: draft.owner.clone().unwrap_or_else(|| Member::user(&principal)),
            creator: principal.clone(),
            create_time: tx.now,
            updater: principal,
            update_time: tx.now,
            revision: 1,
            last_run: None,
        }
    }
}
