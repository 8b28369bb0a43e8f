//! Implements UpdateExport.

use super::{settings, stored};
use crate::app::datasets::PayloadCheck;
use crate::app::{Affected, App, Mutation, MutationTx};
use crate::model::json::{Labels, Object};
use crate::model::schedule::Schedule;
use crate::model::{
    ConnectionName, Error, Export, Invalid, InvalidRequest, Member, OpContext, Payload, ResourceId, Result, Role,
};

/// Changes everything of an export but its connection and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateExport {
    /// Id of the export.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// Fields to update.
    pub update: ExportUpdate,
    /// The result of the check of its payload, which is made before the transaction.
    pub payload_check: PayloadCheck,
}

/// The fields that an update changes, with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportUpdate {
    /// Display name.
    pub display_name: Option<String>,
    /// Free-form description.
    pub description: Option<String>,
    /// The connection in the request, which must be the stored one.
    pub connection: Option<ConnectionName>,
    /// Data to export; replaces all of it.
    pub payload: Option<Payload>,
    /// The schedule; `Some(None)`: no scheduled runs.
    pub schedule: Option<Option<Schedule>>,
    /// The settings of the connection type for exports, all of them.
    pub destination_settings: Option<Object>,
    /// Labels, all of them.
    pub labels: Option<Labels>,
    /// The owner; `Some(None)`: the creator.
    pub owner: Option<Option<Member>>,
}

impl Mutation for UpdateExport {
    type Response = Export;

    const CHECKS_FIELDS: bool = true;

    async fn prepare(&mut self, app: &App, context: &OpContext) {
        if let Some(payload) = &self.update.payload {
            self.payload_check = app.check_payload(context, payload, "export.payload").await;
        }
    }

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock_managed(tx, std::slice::from_ref(&self.id), None).await?;
        let before = stored::single(before, &self.etag)?;
        let mut after = self.updated(tx, &before)?;
        if after != before {
            stored::save(tx, &before, &mut after, None).await?;
        }
        let affected = stored::affected(&after);
        // Who manages an export can depend on its owner.
        tx.export = Some(after).filter(|after| after.owner == before.owner);
        Ok(affected)
    }
}

impl UpdateExport {
    fn updated(&self, tx: &MutationTx<'_>, before: &Export) -> Result<Export> {
        let (update, mut after) = (&self.update, before.clone());
        let mut request = InvalidRequest::default();
        let attached = before.attachment().map(|attachment| &attachment.name);
        if update.connection.as_ref().is_some_and(|given| Some(given) != attached) {
            let description = "cannot be changed by an update; use AttachExport or DetachExport";
            request.refuse(Invalid::Immutable, "export.connection", description);
        }
        if let Some(display_name) = &update.display_name {
            after.display_name.clone_from(display_name);
        }
        if let Some(description) = &update.description {
            after.description.clone_from(description);
        }
        if let Some(payload) = &update.payload {
            if *payload != before.payload.without_types() {
                after.payload = self.payload_check.payload(&mut request, payload)?;
            } else if let PayloadCheck::Suitable(checked) = &self.payload_check {
                // The types of fields may have changed. Otherwise an unchanged payload does not depend on its source.
                after.payload.clone_from(checked);
            }
        }
        if let Some(labels) = &update.labels {
            after.labels.clone_from(labels);
        }
        if let Some(owner) = &update.owner {
            after.owner = owner.clone().unwrap_or_else(|| Member::user(&before.creator));
        }
        if after.owner != before.owner {
            let actor = &tx.context.actor;
            if !actor.has(Role::Admin) && !actor.is(&before.owner) {
                let (name, owner) = (before.name.to_string(), before.owner.as_str().to_owned());
                return Err(Error::OwnerRequired { name, owner });
            }
        }
        if let Some(given) = &update.destination_settings {
            let path = "export.destination_settings";
            after.destination_settings = settings::check(tx.app, &mut request, &after.connection_type, given, path);
        }
        if after.payload != before.payload || after.destination_settings != before.destination_settings {
            request.collect(settings::check_delivery(tx.app, &mut after, "export."))?;
        }
        if let Some(schedule) = &update.schedule
            && (*schedule != before.schedule || before.schedule_pause.is_some())
        {
            after.schedule_pause = None;
            request.collect(settings::check_schedule(tx, &after, schedule.as_ref(), "export.schedule"))?;
            after.schedule.clone_from(schedule);
            after.next_due_time = after.first_due_time(tx.app.schedules(), tx.now);
        }
        request.finish(settings::check_size(tx, &after, Some(before), "export"))?;
        Ok(after)
    }
}
