//! AttachExport and BatchAttachExports: a detached export becomes active, an attached one moves.

use uuid::Uuid;

use super::settings::CheckedSchedules;
use super::{
    BatchOutcome, answer, answer_batch, batch_effect, by_connection, changes, effect_of, released, lock_managed,
    settings, single, subject, target, touch,
};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::text::Object;
use crate::model::{
    Call, Connection, ConnectionName, ConnectionUid, Error, Export, Invalid, AttachmentState, Mutation, ReleaseCause, ResourceId,
    Result,
};
use crate::store;

/// An export to be attached or moved.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachExport {
    /// Which.
    pub id: ResourceId,
    /// As the caller last saw it; empty: whatever it is.
    pub etag: String,
    /// Where to.
    pub connection: ConnectionName,
    /// Settings for the type of that connection, in place of the present ones.
    pub destination_settings: Option<Object>,
}

struct BatchAttach {
    ids: Vec<ResourceId>,
    connection: ConnectionName,
}

impl App {
    /// Attaches a detached export, or moves an attached one.
    pub async fn attach_export(&self, call: &Call, mutation: Mutation, input: AttachExport) -> Result<Export> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(attach_one(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }

    /// Attaches or moves many exports to one connection, all or none.
    pub async fn batch_attach_exports(
        &self,
        call: &Call,
        mutation: Mutation,
        ids: Vec<ResourceId>,
        connection: ConnectionName,
    ) -> Result<BatchOutcome> {
        self.change(
            call,
            mutation,
            BatchAttach { ids, connection },
            |change, input| Box::pin(attach_many(change, input)),
            |change, effect| Box::pin(answer_batch(change, effect)),
        )
        .await
    }
}

async fn attach_one(change: &Change<'_>, input: &AttachExport) -> Result<Effect> {
    let (exports, connection) = lock(change, &[&input.id], &input.connection).await?;
    let export = single(exports, &input.etag)?;
    let effect = effect_of(&export);
    attach(change, vec![export], &connection, input.destination_settings.as_ref(), None).await?;
    Ok(effect)
}

async fn attach_many(change: &Change<'_>, input: &BatchAttach) -> Result<Effect> {
    let ids: Vec<_> = input.ids.iter().collect();
    let (exports, connection) = lock(change, &ids, &input.connection).await?;
    let batch_id = Uuid::now_v7();
    let effect = batch_effect(&exports, Some(batch_id));
    attach(change, exports, &connection, None, Some(batch_id)).await?;
    Ok(effect)
}

/// Locks exports that the caller manages, and the target that it may use. Who does not manage them learns nothing of
/// the target.
async fn lock(change: &Change<'_>, ids: &[&ResourceId], name: &ConnectionName) -> Result<(Vec<Export>, Connection)> {
    let found = match target::find(change, name).await {
        Err(error @ (Error::NotFound(..) | Error::NotPermitted(_))) => Err(error),
        found => Ok(found?),
    };
    let exports = lock_managed(change, ids, found.as_ref().ok().copied()).await?;
    Ok((exports, target::locked(change, name, found?).await?))
}

async fn attach(
    change: &Change<'_>,
    exports: Vec<Export>,
    connection: &Connection,
    given: Option<&Object>,
    batch_id: Option<Uuid>,
) -> Result<()> {
    let mut checked = CheckedSchedules::default();
    let (staying, moving): (Vec<_>, Vec<_>) =
        exports.into_iter().partition(|export| attached_to(export) == Some(connection.uid));
    for before in staying {
        // It is there already; only new settings change anything.
        let mut after = fitted(change, &before, connection, given, &mut checked)?;
        if after != before {
            touch(change, &mut after);
            store::exports::update(change.db, &after).await?;
            change.audit(&subject(&after), changes::between(Some(&before), Some(&after)), batch_id, "");
        }
    }
    for (left, group) in by_connection(&moving) {
        let group: Vec<_> = group.into_iter().map(released).collect();
        let (db, scope) = (change.db, change.scope);
        store::attachments::release(db, scope, left, &group, ReleaseCause::Moved, change.now).await?;
    }
    if moving.is_empty() {
        return Ok(());
    }
    let room = store::attachments::reserve_revisions(change.db, change.scope, connection.uid, moving.len() as u64).await?;
    for (before, revision) in moving.into_iter().zip(room + 1..) {
        let mut after = fitted(change, &before, connection, given, &mut checked)?;
        after.attachment_state = AttachmentState::Attached(target::attachment(connection, revision));
        after.next_due_time = after.first_due_time(change.now);
        touch(change, &mut after);
        store::attachments::attach(change.db, &after).await?;
        change.audit(&subject(&after), changes::between(Some(&before), Some(&after)), batch_id, "");
    }
    Ok(())
}

/// The export with settings and a schedule that fit the type of the connection.
fn fitted(
    change: &Change<'_>,
    export: &Export,
    connection: &Connection,
    given: Option<&Object>,
    checked: &mut CheckedSchedules,
) -> Result<Export> {
    let (own, target) = (&export.connection_type, &connection.connection_type);
    let mut fitted = export.clone();
    fitted.destination_settings = settings::refit(change.app, export, target, given)?;
    fitted.connection_type = target.clone();
    settings::check_size(&fitted, Some(export), "destination_settings")?;
    if settings::shortest_interval(change.app, target) > settings::shortest_interval(change.app, own) {
        match checked.check(change, &fitted, "schedule") {
            // A schedule that has ended may move; one that fires too often for the new type may not.
            Err(Error::Invalid(Invalid::ScheduleNeverFires, _)) => {}
            checked => checked?,
        }
    }
    Ok(fitted)
}

fn attached_to(export: &Export) -> Option<ConnectionUid> {
    export.attachment().map(|attachment| attachment.uid)
}
