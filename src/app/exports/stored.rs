//! Stored exports within a mutation: locked, saved, and read back for the response.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::audit;
use crate::app::{Affected, MutationTx, ReadBack};
use crate::model::{
    Abort, CallerAccess, ConnectionUid, Error, Export, ExportName, ExportState, ExportUid, Precondition, ResourceId,
    ResourceKind, Result,
};
use crate::store;
use crate::store::locks::{self, LockMode};

/// The result of a batch for one export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchResult {
    /// Resource name, as in the request.
    pub name: String,
    /// State and etag after the batch; `None` if the export does not exist any more.
    pub state_and_etag: Option<(ExportState, String)>,
}

/// The results of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// In the order of the request.
    pub results: Vec<BatchResult>,
    /// On every audit event of the batch.
    pub batch_id: Option<Uuid>,
}

/// Locks exports with their connections, and `target` with these. Returns them as they are now, in the order of `ids`.
///
/// An export that moved between the look-up of its connection and the lock restarts the transaction.
pub async fn lock(tx: &MutationTx<'_>, ids: &[ResourceId], target: Option<ConnectionUid>) -> Result<Vec<Export>> {
    let only = if let ([id], None) = (ids, target) { Some(id) } else { None };
    if let Some(id) = only
        && let Some(uid) = locks::attached_export_by_id(tx.db, &tx.scope, id).await?
    {
        return read(tx, &BTreeSet::from([uid])).await;
    }
    let references = store::exports::find_references(tx.db, &tx.scope, ids).await?;
    if only.is_some() && references.iter().any(|found| found.connection.is_some()) {
        // It was attached or moved in between. Its connection must be locked before it.
        return Err(Abort::Conflict.into());
    }
    let references: HashMap<_, _> = references.iter().map(|found| (&found.id, found)).collect();
    let not_found = |id: &ResourceId| Error::NotFound(ResourceKind::Export, name(tx, id).to_string());
    for id in ids {
        references.get(id).ok_or_else(|| not_found(id))?;
    }
    let connections = references.values().filter_map(|found| found.connection).chain(target).collect();
    locks::connections(tx.db, &tx.scope, &connections, LockMode::Update).await?;
    let uids: BTreeSet<_> = references.values().map(|found| found.uid).collect();
    locks::exports(tx.db, &tx.scope, &uids).await?;
    let mut exports: HashMap<_, _> = read(tx, &uids).await?.into_iter().map(|export| (export.uid, export)).collect();
    let mut locked = Vec::with_capacity(ids.len());
    for id in ids {
        let found = references.get(id).ok_or_else(|| not_found(id))?;
        let export = exports.remove(&found.uid).ok_or_else(|| not_found(id))?;
        if export.attachment().map(|attachment| attachment.uid) != found.connection {
            return Err(Abort::Conflict.into());
        }
        locked.push(export);
    }
    Ok(locked)
}

/// Reads locked exports, a single one with its newest run.
async fn read(tx: &MutationTx<'_>, uids: &BTreeSet<ExportUid>) -> Result<Vec<Export>> {
    let actor = &tx.context.actor;
    match uids.first() {
        Some(uid) if uids.len() == 1 => {
            Ok(store::exports::get(tx.db, &tx.scope, actor, *uid).await?.into_iter().collect())
        }
        _ => store::exports::get_many(tx.db, &tx.scope, actor, uids.iter().copied()).await,
    }
}

/// Locks exports that the caller must manage.
pub async fn lock_managed(
    tx: &MutationTx<'_>,
    ids: &[ResourceId],
    target: Option<ConnectionUid>,
) -> Result<Vec<Export>> {
    let exports = lock(tx, ids, target).await?;
    match exports.iter().find(|export| export.caller_access != CallerAccess::Manage) {
        Some(export) => Err(Error::not_permitted(&export.name)),
        None => Ok(exports),
    }
}

/// The one export of a request that names one. Fails if `etag` is set and stale.
pub fn single(exports: Vec<Export>, etag: &str) -> Result<Export> {
    let export = exports.into_iter().next().ok_or_else(|| Error::internal("no export was locked"))?;
    if !etag.is_empty() && etag != export.etag() {
        return Err(Abort::EtagMismatch { name: export.name.to_string() }.into());
    }
    Ok(export)
}

/// Gives an export a new revision, changed by the actor of this transaction.
pub fn touch(tx: &MutationTx<'_>, export: &mut Export) {
    export.revision += 1;
    export.updater = tx.context.actor.principal();
    export.update_time = tx.now;
}

/// Saves a changed export with a new revision, and audits the change. Its attachment is not saved.
pub async fn save(tx: &mut MutationTx<'_>, before: &Export, after: &mut Export, batch_id: Option<Uuid>) -> Result<()> {
    if after.file_name != before.file_name {
        check_file_name(tx, after).await?;
    }
    touch(tx, after);
    store::exports::update(tx.db, after).await?;
    if before.schedule_pause.is_some() && after.schedule_pause.is_none() {
        store::runs::due::reset_failures(tx.db, &tx.scope, after.uid).await?;
    }
    tx.audit(audit::resource(after), audit::diff(Some(before), Some(after)), batch_id, "");
    Ok(())
}

/// Fails if another export on the connection, which is locked, writes files of the same names.
pub async fn check_file_name(tx: &MutationTx<'_>, export: &Export) -> Result<()> {
    let (Some(attachment), Some(file_name)) = (export.attachment(), &export.file_name) else { return Ok(()) };
    let found = store::exports::find_by_file_name(tx.db, &tx.scope, attachment.uid, file_name).await?;
    match found.filter(|found| found.uid != export.uid) {
        Some(other) => {
            let (export, other) = (export.name.to_string(), name(tx, &other.id).to_string());
            Err(Precondition::FileNameInUse { export, other }.into())
        }
        None => Ok(()),
    }
}

/// A change of one export.
pub fn affected(export: &Export) -> Affected {
    Affected::one(export.uid.0, &export.name)
}

/// A change of many exports.
pub fn batch_affected<'a>(exports: impl IntoIterator<Item = &'a Export>, batch_id: Option<Uuid>) -> Affected {
    let resources = exports.into_iter().map(|export| (export.uid.0, export.name.to_string())).collect();
    Affected { resources, batch_id, ..Affected::default() }
}

/// The name of an export of this organization.
pub fn name(tx: &MutationTx<'_>, id: &ResourceId) -> ExportName {
    ExportName { organization: tx.scope.organization.clone(), id: id.clone() }
}

impl ReadBack for Export {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        let export = if let Some(export) = tx.export.take() {
            export
        } else {
            let (uid, name) = affected.single()?;
            let found = store::exports::get(tx.db, &tx.scope, &tx.context.actor, ExportUid(*uid)).await?;
            found.ok_or_else(|| Error::NotFound(ResourceKind::Export, name.clone()))?
        };
        Ok(export.with_due_time_after(tx.app.schedules(), tx.now))
    }
}

impl ReadBack for BatchOutcome {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        let uids = affected.resources.iter().map(|(uid, _)| ExportUid(*uid));
        let exports = store::exports::get_many(tx.db, &tx.scope, &tx.context.actor, uids).await?;
        let exports: HashMap<_, _> = exports.into_iter().map(|export| (export.uid.0, export)).collect();
        let result = |(uid, name): &(Uuid, String)| BatchResult {
            name: name.clone(),
            state_and_etag: exports.get(uid).map(|export| (export.state(), export.etag())),
        };
        Ok(Self { results: affected.resources.iter().map(result).collect(), batch_id: affected.batch_id })
    }
}
