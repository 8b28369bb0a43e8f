//! Exports: what goes and how often. Whoever manages an export does everything but detach it.

use std::collections::{BTreeSet, HashMap};

use super::App;
use super::change::{Change, Effect, Subject};
use crate::model::page::{Page, PageRequest};
use crate::model::{
    Abort, Call, CallerAccess, ConnectionUid, Error, Export, ExportFilter, ExportName, ExportState, ExportUid, ResourceKind,
    ResourceId, Result, Role,
};
use crate::store;
use crate::store::attachments::ReleasedExport;
use crate::store::locks::{self, LockMode};

mod attach;
mod changes;
mod create;
mod delete;
mod detach;
mod duplicate;
mod schedules;
mod settings;
mod target;
mod update;

pub use attach::AttachExport;
pub use create::{CreateExport, ExportDraft};
pub use detach::{BatchDetached, DetachTarget};
pub use duplicate::DuplicateExport;
pub use schedules::ScheduleChange;
pub use update::{ExportUpdate, UpdateExport};

/// What a batch did to one export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    /// Its name, as in the request.
    pub name: String,
    /// Its state and etag afterwards; `None` if it is gone.
    pub now: Option<(ExportState, String)>,
}

/// What a batch did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// In the order of the request.
    pub results: Vec<BatchResult>,
    /// On the audit events of the call.
    pub batch_id: Option<uuid::Uuid>,
}

impl App {
    /// Gets an export.
    pub async fn get_export(&self, call: &Call, name: &ExportName) -> Result<Export> {
        let scope = self.read_scope(call, Role::Viewer)?;
        let found = store::exports::find(&self.0.store.reader().await?, &scope, &call.caller, &name.id).await?;
        let export = found.ok_or_else(|| Error::NotFound(ResourceKind::Export, name.to_string()))?;
        Ok(export.with_due_time_after(self.now()))
    }

    /// Lists exports.
    pub async fn list_exports(&self, call: &Call, filter: &ExportFilter, page: &PageRequest) -> Result<Page<Export>> {
        let scope = self.read_scope(call, Role::Viewer)?;
        let found = store::exports::list(&self.0.store.reader().await?, &scope, &call.caller, filter, page).await?;
        let now = self.now();
        let items = found.items.into_iter().map(|export| export.with_due_time_after(now)).collect();
        Ok(Page { items, next: found.next })
    }
}

/// Locks exports with their connections, and `target` with these; reads them as they are now, in the order of the ids.
///
/// An export that moved between its connection was looked up and locked starts the transaction over.
async fn lock(change: &Change<'_>, ids: &[&ResourceId], target: Option<ConnectionUid>) -> Result<Vec<Export>> {
    let references = store::exports::find_references(change.db, change.scope, ids).await?;
    let references: HashMap<_, _> = references.iter().map(|found| (&found.id, found)).collect();
    let absent = |id: &ResourceId| Error::NotFound(ResourceKind::Export, name(change, id).to_string());
    for id in ids {
        references.get(id).ok_or_else(|| absent(id))?;
    }
    let connections = references.values().filter_map(|found| found.connection).chain(target).collect();
    locks::connections(change.db, change.scope, &connections, LockMode::Update).await?;
    let uids: BTreeSet<_> = references.values().map(|found| found.uid).collect();
    locks::exports(change.db, change.scope, &uids).await?;
    let exports = store::exports::get_many(change.db, change.scope, &change.call.caller, uids).await?;
    let mut exports: HashMap<_, _> = exports.into_iter().map(|export| (export.uid, export)).collect();
    let mut locked = Vec::with_capacity(ids.len());
    for id in ids {
        let found = references.get(id).ok_or_else(|| absent(id))?;
        let export = exports.remove(&found.uid).ok_or_else(|| absent(id))?;
        if export.attachment().map(|attachment| attachment.uid) != found.connection {
            return Err(Abort::Conflict.into());
        }
        locked.push(export);
    }
    Ok(locked)
}

/// The same for exports that the caller must manage.
async fn lock_managed(change: &Change<'_>, ids: &[&ResourceId], target: Option<ConnectionUid>) -> Result<Vec<Export>> {
    change.require(Role::Contributor)?;
    let exports = lock(change, ids, target).await?;
    match exports.iter().find(|export| export.caller_access != CallerAccess::Manage) {
        Some(export) => Err(Error::not_permitted(&export.name)),
        None => Ok(exports),
    }
}

/// The one export of a call that names one; refuses it if it is not as the caller last saw it.
fn single(exports: Vec<Export>, etag: &str) -> Result<Export> {
    let export = exports.into_iter().next().ok_or_else(|| Error::internal("no export was locked"))?;
    if !etag.is_empty() && etag != export.etag() {
        return Err(Abort::EtagMismatch { name: export.name.to_string() }.into());
    }
    Ok(export)
}

/// The export that a change made or changed, as it is now.
async fn answer(change: &Change<'_>, effect: &Effect) -> Result<Export> {
    let (uid, name) = effect.single()?;
    let uids = [ExportUid(*uid)];
    let found = store::exports::get_many(change.db, change.scope, &change.call.caller, uids).await?;
    let export = found.into_iter().next().ok_or_else(|| Error::NotFound(ResourceKind::Export, name.clone()))?;
    Ok(export.with_due_time_after(change.now))
}

/// What a batch did, as it is now; of an export that is gone the name alone.
async fn answer_batch(change: &Change<'_>, effect: &Effect) -> Result<BatchOutcome> {
    let uids = effect.resources.iter().map(|(uid, _)| ExportUid(*uid));
    let exports = store::exports::get_many(change.db, change.scope, &change.call.caller, uids).await?;
    let exports: HashMap<_, _> = exports.into_iter().map(|export| (export.uid.0, export)).collect();
    let result = |(uid, name): &(uuid::Uuid, String)| BatchResult {
        name: name.clone(),
        now: exports.get(uid).map(|export| (export.state(), export.etag())),
    };
    Ok(BatchOutcome { results: effect.resources.iter().map(result).collect(), batch_id: effect.batch_id })
}

/// The effect of a batch on these exports.
fn batch_effect<'a>(exports: impl IntoIterator<Item = &'a Export>, batch_id: Option<uuid::Uuid>) -> Effect {
    let resources = exports.into_iter().map(|export| (export.uid.0, export.name.to_string())).collect();
    Effect { resources, batch_id, count: 0 }
}

fn effect_of(export: &Export) -> Effect {
    Effect::one(export.uid.0, &export.name)
}

/// Marks an export as changed by the caller of this change.
fn touch(change: &Change<'_>, export: &mut Export) {
    export.revision += 1;
    export.updater.clone_from(&change.call.caller.principal);
    export.update_time = change.now;
}

fn name(change: &Change<'_>, id: &ResourceId) -> ExportName {
    ExportName { organization: change.scope.organization.clone(), id: id.clone() }
}

fn subject(export: &Export) -> Subject<'_> {
    Subject { uid: export.uid.0, name: export.name.to_string(), display_name: &export.display_name }
}

fn released(export: &Export) -> ReleasedExport {
    ReleasedExport {
        uid: export.uid,
        id: export.name.id.clone(),
        display_name: export.display_name.clone(),
        revision: export.revision,
    }
}

/// The attached ones of these exports by their connections, in ascending order of those.
fn by_connection(exports: &[Export]) -> std::collections::BTreeMap<ConnectionUid, Vec<&Export>> {
    let mut groups = std::collections::BTreeMap::<_, Vec<_>>::new();
    for export in exports {
        if let Some(attachment) = export.attachment() {
            groups.entry(attachment.uid).or_default().push(export);
        }
    }
    groups
}
