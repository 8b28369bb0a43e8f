//! Implements ResumeConnection.

use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Connection, ResourceId, Result};
use crate::store::locks::LockMode;

/// Ends the suspension of a connection.
pub struct ResumeConnection {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
}

impl Mutation for ResumeConnection {
    type Response = Connection;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let mut after = before.clone();
        after.suspended = false;
        after.suspend_reason = String::new();
        if after != before {
            stored::save(tx, &before, &mut after, "").await?;
        }
        Ok(stored::affected(&after))
    }
}
