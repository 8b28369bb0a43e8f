//! DeleteConnection: refused as long as one export is attached.

use super::{audit, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Precondition, ResourceId, Result, limits};
use crate::store;
use crate::store::locks::LockMode;

/// Deletes a connection that no export uses, with its sharing and its credential.
pub struct DeleteConnection {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
}

impl Mutation for DeleteConnection {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let connection = stored::lock(tx, &self.id, LockMode::Delete, &self.etag).await?;
        if connection.attached_export_count > 0 {
            let limit = limits::MAX_NAMED_BLOCKERS;
            return Err(Precondition::ConnectionInUse {
                connection: connection.name.to_string(),
                blocking_export_count: connection.attached_export_count,
                blocking_set_etag: connection.blocking_set_etag(),
                first: store::attachments::first_blockers(tx.db, &tx.scope, &connection, limit).await?,
            }
            .into());
        }
        store::connections::delete(tx.db, &tx.scope, connection.uid).await?;
        let mut diff = audit::diff(Some(&connection), None);
        if connection.credential.auth_method.is_some() {
            diff = diff.redacted("credential");
        }
        tx.audit(audit::resource(&connection), diff, None, "");
        Ok(stored::affected(&connection))
    }
}
