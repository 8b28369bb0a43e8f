//! UpdateExport: everything but the connection and the state.

use super::{answer, changes, effect_of, lock_managed, settings, single, subject, touch};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::schedule::Schedule;
use crate::model::text::{Labels, Object};
use crate::model::{Call, ConnectionName, Error, Export, Invalid, Mutation, Payload, ResourceId, Result};
use crate::store;

/// The fields that an update names, with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportUpdate {
    /// What people call it.
    pub display_name: Option<String>,
    /// What people say about it.
    pub description: Option<String>,
    /// The connection as the request has it; this call cannot change it.
    pub connection: Option<ConnectionName>,
    /// What leaves, whole.
    pub payload: Option<Payload>,
    /// How often; `Some(None)`: by hand only from now on.
    pub schedule: Option<Option<Schedule>>,
    /// The type's export settings, all of them.
    pub destination_settings: Option<Object>,
    /// Labels, all of them.
    pub labels: Option<Labels>,
}

/// An export to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateExport {
    /// Which.
    pub id: ResourceId,
    /// As the caller last saw it; empty: whatever it is.
    pub etag: String,
    /// What is to change.
    pub update: ExportUpdate,
}

impl App {
    /// Changes an export.
    pub async fn update_export(&self, call: &Call, mutation: Mutation, input: UpdateExport) -> Result<Export> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(update(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }
}

async fn update(change: &Change<'_>, input: &UpdateExport) -> Result<Effect> {
    let before = single(lock_managed(change, &[&input.id], None).await?, &input.etag)?;
    let update = &input.update;
    let attached = before.attachment().map(|attachment| &attachment.name);
    if update.connection.as_ref().is_some_and(|asked| Some(asked) != attached) {
        let description = "cannot change here: use AttachExport or DetachExport";
        return Err(Error::invalid_as(Invalid::Immutable, "export.connection", description));
    }
    let mut after = before.clone();
    if let Some(display_name) = &update.display_name {
        after.display_name.clone_from(display_name);
    }
    if let Some(description) = &update.description {
        after.description.clone_from(description);
    }
    if let Some(payload) = &update.payload {
        after.payload.clone_from(payload);
    }
    if let Some(labels) = &update.labels {
        after.labels.clone_from(labels);
    }
    if let Some(given) = &update.destination_settings {
        after.destination_settings =
            settings::check(change.app, &after.connection_type, given, "export.destination_settings")?;
    }
    if let Some(schedule) = &update.schedule
        && *schedule != before.schedule
    {
        settings::check_schedule(change, &after, schedule.as_ref(), "export.schedule")?;
        after.schedule.clone_from(schedule);
        after.next_due_time = after.first_due_time(change.now);
    }
    settings::check_size(&after, Some(&before), "export")?;
    if after != before {
        touch(change, &mut after);
        store::exports::update(change.db, &after).await?;
        change.audit(&subject(&after), changes::between(Some(&before), Some(&after)), None, "");
    }
    Ok(effect_of(&after))
}
