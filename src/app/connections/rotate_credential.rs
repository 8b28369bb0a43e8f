//! Implements RotateConnectionCredential.

use super::{CredentialInput, audit, credential, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::audit::AuditDiff;
use crate::model::{Connection, ResourceId, Result, Violations};
use crate::store;
use crate::store::locks::LockMode;

/// Replaces the credential of a connection.
pub struct RotateConnectionCredential {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// The new credential.
    pub credential: CredentialInput,
}

impl Mutation for RotateConnectionCredential {
    type Response = Connection;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let mut connection = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let connection_type = stored::known_type(tx.app, "name", &connection.connection_type)?;
        let mut violations = Violations::new();
        credential::check(&mut violations, connection_type, Some(&self.credential), tx.now);
        violations.into_result()?;
        stored::touch(tx, &mut connection);
        store::connections::update(tx.db, &connection).await?;
        credential::store(tx, connection_type, &mut connection, &self.credential).await?;
        tx.audit(audit::resource(&connection), AuditDiff::new().redacted("credential"), None, "");
        Ok(stored::affected(&connection))
    }
}
