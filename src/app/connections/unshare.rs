//! UnshareConnection.

use std::collections::BTreeSet;

use super::stored;
use crate::app::{Affected, Mutation, MutationTx, ReadBack};
use crate::model::{Connection, Member, ResourceId, Result};
use crate::store;
use crate::store::locks::LockMode;

/// Takes shares of a connection away. Its exports stay and continue to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnshareConnection {
    /// The connection.
    pub id: ResourceId,
    /// The etag that it must have; empty: any.
    pub etag: String,
    /// Whether the share with all contributors is taken away.
    pub all_contributors: bool,
    /// The members whose share is taken away.
    pub members: BTreeSet<Member>,
}

/// What an unshare did.
#[derive(Clone, Debug, PartialEq)]
pub struct Unshared {
    /// The connection as it is now.
    pub connection: Connection,
    /// How many exports are attached, if a share was taken away.
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
