//! Implements RevokeConnectionCredential.

use super::availability::{Cause, make_unavailable};
use super::change::{ConnectionChange, affecting_exports};
use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{ResourceId, Result};
use crate::store::locks::LockMode;

/// Erases the credential of a connection. Its exports are blocked, not detached.
pub struct RevokeConnectionCredential {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
}

impl Mutation for RevokeConnectionCredential {
    type Response = ConnectionChange;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let connection = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let has_changed = make_unavailable(tx, &connection, Cause::RevokeCredential).await?;
        Ok(if has_changed { affecting_exports(&connection) } else { stored::affected(&connection) })
    }
}
