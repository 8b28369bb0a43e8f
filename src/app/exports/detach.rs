//! DetachExport and BatchDetachExports: an administrator detaches exports from their connections. They keep their
//! configuration.

use uuid::Uuid;

use super::{BatchOutcome, attachment, stored};
use crate::app::{Affected, Mutation, MutationTx, ReadBack};
use crate::model::token::{Etag, TokenKind};
use crate::model::{
    Abort, Connection, ConnectionName, Error, Export, Precondition, ResourceId, ResourceKind, Result, limits,
};
use crate::store;
use crate::store::attachments::ReleasedExport;
use crate::store::locks::{self, LockMode};

/// Detaches an export. Detaching a detached one succeeds and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachExport {
    /// Id of the export.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// The administrator's reason.
    pub reason: String,
}

/// Detaches many exports, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDetachExports {
    /// The exports to detach.
    pub target: DetachTarget,
    /// The administrator's reason.
    pub reason: String,
}

/// Which exports to detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetachTarget {
    /// Named exports.
    Names(Vec<ResourceId>),
    /// All that are attached to a connection, if none was attached since the set was listed.
    AttachedSet {
        /// Name of the connection.
        connection: ConnectionName,
        /// The etag of the listed set.
        blocking_set_etag: String,
    },
}

/// The result of a batch detach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDetached {
    /// The result for each named export; none for a set.
    pub outcome: BatchOutcome,
    /// How many exports were attached and are detached now.
    pub detached_count: u64,
}

impl Mutation for DetachExport {
    type Response = Export;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let export = stored::single(stored::lock(tx, std::slice::from_ref(&self.id), None).await?, &self.etag)?;
        attachment::detach(tx, std::slice::from_ref(&export), None, &self.reason).await?;
        Ok(stored::affected(&export))
    }
}

impl Mutation for BatchDetachExports {
    type Response = BatchDetached;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let batch_id = Some(Uuid::now_v7());
        match &self.target {
            DetachTarget::Names(ids) => {
                let exports = stored::lock(tx, ids, None).await?;
                let count = attachment::detach(tx, &exports, batch_id, &self.reason).await?;
                Ok(Affected { count, ..stored::batch_affected(&exports, batch_id) })
            }
            DetachTarget::AttachedSet { connection, blocking_set_etag } => {
                let (connection, exports) = lock_set(tx, connection, blocking_set_etag).await?;
                let from = (connection.uid, &connection.name, connection.display_name.as_str());
                attachment::detach_from(tx, from, &exports, batch_id, &self.reason).await?;
                Ok(Affected { batch_id, count: exports.len() as u64, ..Affected::default() })
            }
        }
    }
}

impl ReadBack for BatchDetached {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        Ok(Self { outcome: BatchOutcome::read_back(tx, affected).await?, detached_count: affected.count })
    }
}

/// Locks a connection and every export attached to it, if no export was attached since the set was listed.
async fn lock_set(
    tx: &MutationTx<'_>,
    name: &ConnectionName,
    blocking_set_etag: &str,
) -> Result<(Connection, Vec<ReleasedExport>)> {
    let not_found = || Error::NotFound(ResourceKind::Connection, name.to_string());
    let locked = locks::connection_by_id(tx.db, &tx.scope, &name.id, LockMode::Update, None).await?;
    let uid = locked.ok_or_else(not_found)?;
    let connection = store::connections::get(tx.db, &tx.scope, uid).await?.ok_or_else(not_found)?;
    let current = Etag::decode(TokenKind::BlockingSet, blocking_set_etag).filter(|etag| {
        let revisions = connection.last_attached_revision..=connection.attachment_revision;
        etag.uid == uid.0 && revisions.contains(&etag.revision)
    });
    if current.is_none() {
        return Err(Abort::BlockingSetChanged { connection: name.to_string() }.into());
    }
    if connection.attached_export_count > limits::MAX_BLOCKING_SET {
        return Err(Precondition::BlockingSetTooLarge {
            connection: name.to_string(),
            blocking_export_count: connection.attached_export_count,
            limit: limits::MAX_BLOCKING_SET,
        }
        .into());
    }
    let exports = store::attachments::attached(tx.db, &tx.scope, uid, limits::MAX_BLOCKING_SET).await?;
    locks::exports(tx.db, &tx.scope, &exports.iter().map(|export| export.uid).collect()).await?;
    Ok((connection, exports))
}
