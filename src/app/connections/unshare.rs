//! Implements UnshareConnection.

use std::collections::BTreeSet;

use super::stored;
use crate::app::{Affected, Mutation, MutationTx, ReadBack};
use crate::model::{Connection, Member, ResourceId, Result};
use crate::store;
use crate::store::locks::LockMode;

/// Removes shares of a connection. Its exports stay attached and continue to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnshareConnection {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// Whether to remove the share with all contributors.
    pub all_contributors: bool,
    /// Members to remove.
    pub members: BTreeSet<Member>,
}

/// Result of an unshare.
#[derive(Clone, Debug, PartialEq)]
pub struct Unshared {
    /// The connection after the change.
    pub connection: Connection,
    /// Number of attached exports, if a share was removed.
    pub affected_export_count: u64,
}

impl Mutation for UnshareConnection {
    type Response = Unshared;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let mut after = before.clone();
        after.sharing.all_contributors &= !self.all_contributors;
        after.sharing.members.retain(|member| !self.members.contains(member));
        if after == before {
            return Ok(stored::affected(&after));
        }
        let removed = before.sharing.members.difference(&after.sharing.members);
        store::connections::remove_members(tx.db, &before, removed).await?;
        stored::save(tx, &before, &mut after, "").await?;
        Ok(Affected { count: after.attached_export_count, ..stored::affected(&after) })
    }
}

impl ReadBack for Unshared {
    async fn read_back(tx: &MutationTx<'_>, affected: &Affected) -> Result<Self> {
        let connection = Connection::read_back(tx, affected).await?;
        Ok(Self { connection, affected_export_count: affected.count })
    }
}
