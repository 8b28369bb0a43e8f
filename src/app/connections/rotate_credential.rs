//! Implements RotateConnectionCredential.

use chrono::{DateTime, Utc};

use super::change::{ConnectionChange, affecting_exports};
use super::{CredentialInput, audit, credential, stored};
use crate::app::{Affected, App, Mutation, MutationTx};
use crate::catalog::ConnectionType;
use crate::model::audit::AuditDiff;
use crate::model::{
    Abort, Connection, ConnectionName, Error, Invalid, LastTest, OpContext, ResourceId, Result, Violations,
};
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
    /// Whether it is tested first.
    pub test: bool,
    /// The result of that test, which is stored with the credential.
    pub last_test: Option<LastTest>,
}

impl App {
    /// Replaces the credential of a connection, after a test of the new one if that is wanted.
    pub async fn rotate_connection_credential(
        &self,
        context: &OpContext,
        mut rotation: RotateConnectionCredential,
    ) -> Result<ConnectionChange> {
        if rotation.test && !context.is_dry_run() {
            let name = ConnectionName { organization: context.organization.clone(), id: rotation.id.clone() };
            let connection = self.get_connection(context, &name).await?;
            let connection_type = stored::known_type(self, "name", &connection.connection_type)?;
            let checked = rotation.checked(connection_type, &connection, self.now())?;
            let etag = connection.etag();
            if !rotation.etag.is_empty() && rotation.etag != etag {
                return Err(Abort::EtagMismatch { name: name.to_string() }.into());
            }
            rotation.last_test = Some(self.test_credential(context, connection, checked.secret).await?);
            // What was tested is what is stored.
            rotation.etag = etag;
        }
        self.execute(context, rotation).await
    }
}

impl RotateConnectionCredential {
    /// The new credential in its normal form.
    fn checked(
        &self,
        connection_type: &ConnectionType,
        connection: &Connection,
        now: DateTime<Utc>,
    ) -> Result<CredentialInput> {
        let mut violations = Violations::new();
        let (given, properties) = (Some(&self.credential), (&connection.properties, None));
        match credential::check(&mut violations, connection_type, properties, given, now) {
            Some(checked) if violations.is_empty() => Ok(checked),
            Some(_) | None => Err(Error::Invalid(Invalid::Field, violations)),
        }
    }
}

impl Mutation for RotateConnectionCredential {
    type Response = ConnectionChange;

    const CHECKS_FIELDS: bool = true;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let mut connection = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let connection_type = stored::known_type(tx.app, "name", &connection.connection_type)?;
        let checked = self.checked(connection_type, &connection, tx.now)?;
        connection.last_test.clone_from(&self.last_test);
        stored::touch(tx, &mut connection);
        let sealed = credential::seal(tx, connection_type, &mut connection, &checked)?;
        store::credentials::put(tx.db, &connection, sealed).await?;
        store::connections::update(tx.db, &connection).await?;
        tx.audit(audit::resource(&connection), AuditDiff::new().redacted("credential"), None, "");
        Ok(affecting_exports(&connection))
    }
}
