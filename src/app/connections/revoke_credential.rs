//! Implements RevokeConnectionCredential.

use super::availability::{Cause, make_unavailable};
use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Connection, ResourceId, Result};
use crate::store::locks::LockMode;

/// Erases the credential of a connection. Its exports are blocked, not detached.
pub struct RevokeConnectionCredential {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
}

impl Mutation for RevokeConnectionCredential {
    type Response = Connection;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let connection = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        make_unavailable(tx, &connection, Cause::RevokeCredential).await?;
        Ok(stored::affected(&connection))
    }
}
