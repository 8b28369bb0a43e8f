//! Implements SuspendConnection.

use super::availability::{Withdrawal, withdraw};
use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Connection, ResourceId, Result};
use crate::store::locks::LockMode;

/// Stops all exports of a connection without changing their schedules.
pub struct SuspendConnection {
    /// Id of the connection.
    pub id: ResourceId,
    /// The etag that it must have; empty: any.
    pub etag: String,
    /// The administrator's reason.
    pub reason: String,
}

impl Mutation for SuspendConnection {
    type Response = Connection;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let connection = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        withdraw(tx, &connection, Withdrawal::Suspend { reason: &self.reason }).await?;
        Ok(stored::affected(&connection))
    }
}
