//! DetachExport and BatchDetachExports: an administrator takes exports off their connection; nothing of them is lost.

use uuid::Uuid;

use super::{
    BatchOutcome, answer, answer_batch, batch_effect, by_connection, changes, effect_of, released, lock, single,
};
use crate::app::App;
use crate::app::change::{Change, Effect, Subject};
use crate::model::token::{Etag, TokenKind};
use crate::model::{
    Abort, Call, Connection, ConnectionName, ConnectionUid, Detachment, Error, Export, ExportName, ResourceKind, Mutation,
    Precondition, ReleaseCause, ResourceId, Result, Role, limits,
};
use crate::store;
use crate::store::attachments::ReleasedExport;
use crate::store::locks::{self, LockMode};

/// Which exports to detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetachTarget {
    /// These.
    Names(Vec<ResourceId>),
    /// All that are attached to a connection, if nothing was attached since they were shown.
    AttachedSet {
        /// The connection.
        connection: ConnectionName,
        /// As it was shown.
        blocking_set_etag: String,
    },
}

/// What a batch detached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDetached {
    /// By names: each; of a set: none.
    pub outcome: BatchOutcome,
    /// How many were attached and are detached now.
    pub detached_count: u64,
}

struct DetachOne {
    id: ResourceId,
    etag: String,
    reason: String,
}

struct DetachMany {
    target: DetachTarget,
    reason: String,
}

impl App {
    /// Detaches an export. Already detached is success.
    pub async fn detach_export(
        &self,
        call: &Call,
        mutation: Mutation,
        id: ResourceId,
        etag: String,
        reason: String,
    ) -> Result<Export> {
        self.change(
            call,
            mutation,
            DetachOne { id, etag, reason },
            |change, input| Box::pin(detach_one(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }

    /// Detaches many exports, all or none.
    pub async fn batch_detach_exports(
        &self,
        call: &Call,
        mutation: Mutation,
        target: DetachTarget,
        reason: String,
    ) -> Result<BatchDetached> {
        self.change(
            call,
            mutation,
            DetachMany { target, reason },
            |change, input| Box::pin(detach_many(change, input)),
            |change, effect| {
                Box::pin(async {
                    Ok(BatchDetached { outcome: answer_batch(change, effect).await?, detached_count: effect.count })
                })
            },
        )
        .await
    }
}

async fn detach_one(change: &Change<'_>, input: &DetachOne) -> Result<Effect> {
    change.require(Role::Admin)?;
    let export = single(lock(change, &[&input.id], None).await?, &input.etag)?;
    if let Some(attachment) = export.attachment() {
        let link = (attachment.uid, &attachment.name, attachment.display_name.as_str());
        detach(change, link, &[released(&export)], None, &input.reason).await?;
    }
    Ok(effect_of(&export))
}

async fn detach_many(change: &Change<'_>, input: &DetachMany) -> Result<Effect> {
    change.require(Role::Admin)?;
    let batch_id = Uuid::now_v7();
    match &input.target {
        DetachTarget::Names(ids) => {
            let exports = lock(change, &ids.iter().collect::<Vec<_>>(), None).await?;
            let mut count = 0;
            for group in by_connection(&exports).into_values() {
                let Some(attachment) = group.first().and_then(|export| export.attachment()) else { continue };
                let link = (attachment.uid, &attachment.name, attachment.display_name.as_str());
                let group: Vec<_> = group.iter().map(|export| released(export)).collect();
                detach(change, link, &group, Some(batch_id), &input.reason).await?;
                count += group.len() as u64;
            }
            Ok(Effect { count, ..batch_effect(&exports, Some(batch_id)) })
        }
        DetachTarget::AttachedSet { connection, blocking_set_etag } => {
            let set = lock_set(change, connection, blocking_set_etag).await?;
            let (connection, released) = set;
            let link = (connection.uid, &connection.name, connection.display_name.as_str());
            detach(change, link, &released, Some(batch_id), &input.reason).await?;
            Ok(Effect { resources: Vec::new(), batch_id: Some(batch_id), count: released.len() as u64 })
        }
    }
}

/// Locks a connection and everything attached to it, if that is the set which was shown.
async fn lock_set(change: &Change<'_>, name: &ConnectionName, shown: &str) -> Result<(Connection, Vec<ReleasedExport>)> {
    let (db, scope) = (change.db, change.scope);
    let absent = || Error::NotFound(ResourceKind::Connection, name.to_string());
    let uid = store::connections::find_uid(db, scope, &name.id).await?.ok_or_else(absent)?;
    locks::connections(db, scope, &[uid].into(), LockMode::Update).await?;
    let connection = store::connections::get(db, scope, uid).await?.ok_or_else(absent)?;
    let known = Etag::decode(TokenKind::BlockingSet, shown).filter(|etag| {
        let revisions = connection.last_attached_revision..=connection.attachment_revision;
        etag.uid == uid.0 && revisions.contains(&etag.revision)
    });
    if known.is_none() {
        return Err(Abort::BlockingSetChanged { connection: name.to_string() }.into());
    }
    if connection.attached_export_count > limits::DETACHED_SET {
        return Err(Precondition::BlockingSetTooLarge {
            connection: name.to_string(),
            blocking_export_count: connection.attached_export_count,
            limit: limits::DETACHED_SET,
        }
        .into());
    }
    let released = store::attachments::attached(db, scope, uid, limits::DETACHED_SET).await?;
    locks::exports(db, scope, &released.iter().map(|released| released.uid).collect()).await?;
    Ok((connection, released))
}

async fn detach(
    change: &Change<'_>,
    (connection, connection_name, connection_display_name): (ConnectionUid, &ConnectionName, &str),
    released: &[ReleasedExport],
    batch_id: Option<Uuid>,
    reason: &str,
) -> Result<()> {
    if released.is_empty() {
        return Ok(());
    }
    let (db, scope) = (change.db, change.scope);
    let detachment = Detachment {
        connection,
        connection_name: connection_name.clone(),
        connection_display_name: connection_display_name.to_owned(),
        batch_id,
        principal: change.call.caller.principal.clone(),
        time: change.now,
        reason: reason.to_owned(),
    };
    store::attachments::release(db, scope, connection, released, ReleaseCause::Detached, change.now).await?;
    let uids = released.iter().map(|released| released.uid).collect();
    store::attachments::detach(db, scope, &uids, &detachment).await?;
    for released in released {
        let name = ExportName { organization: scope.organization.clone(), id: released.id.clone() };
        let subject =
            Subject { uid: released.uid.0, name: name.to_string(), display_name: released.display_name.as_str() };
        change.audit(&subject, changes::detached(&connection_name.to_string()), batch_id, reason);
    }
    Ok(())
}
