//! Implements UnshareConnection.

use std::collections::BTreeSet;

use super::change::{ConnectionChange, affecting_exports};
use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Member, ResourceId, Result};
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

impl Mutation for UnshareConnection {
    type Response = ConnectionChange;

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
        Ok(affecting_exports(&after))
    }
}
