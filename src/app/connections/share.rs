//! Implements ShareConnection.

use std::collections::BTreeSet;

use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Connection, Member, ResourceId, Result, check_member_count};
use crate::store;
use crate::store::locks::LockMode;

/// Shares a connection with more contributors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareConnection {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// Whether every contributor may use it.
    pub all_contributors: bool,
    /// The members who may use it.
    pub members: BTreeSet<Member>,
}

impl Mutation for ShareConnection {
    type Response = Connection;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let mut after = before.clone();
        after.sharing.all_contributors |= self.all_contributors;
        after.sharing.members.extend(self.members.iter().cloned());
        check_member_count(after.sharing.members.len())?;
        if after != before {
            let added = after.sharing.members.difference(&before.sharing.members);
            store::connections::add_members(tx.db, &before, added).await?;
            stored::save(tx, &before, &mut after, "").await?;
        }
        Ok(stored::affected(&after))
    }
}
