//! Implements UpdateConnection.

use super::change::{ConnectionChange, affecting_exports};
use super::{CredentialInput, audit, credential, properties, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::json::{Labels, Object};
use crate::model::{
    Connection, ConnectionTypeId, Invalid, InvalidRequest, Precondition, ResourceId, Result, Violations,
};
use crate::store;
use crate::store::locks::LockMode;

/// Changes a connection.
pub struct UpdateConnection {
    /// Id of the connection.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// Fields to update.
    pub update: ConnectionUpdate,
    /// A new credential, stored with the change.
    pub credential: Option<CredentialInput>,
}

/// The fields that an update changes, with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionUpdate {
    /// Display name.
    pub display_name: Option<String>,
    /// Free-form description.
    pub description: Option<String>,
    /// The type in the request, which must be the stored one.
    pub connection_type: Option<ConnectionTypeId>,
    /// The fields of the type, all of them.
    pub properties: Option<Object>,
    /// Labels, all of them.
    pub labels: Option<Labels>,
}

impl Mutation for UpdateConnection {
    type Response = ConnectionChange;

    const CHECKS_FIELDS: bool = true;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock(tx, &self.id, LockMode::Update, &self.etag).await?;
        let mut request = InvalidRequest::default();
        if self.update.connection_type.as_ref().is_some_and(|given| *given != before.connection_type) {
            let description = "is immutable; create another connection and move its exports there with AttachExport";
            request.refuse(Invalid::Immutable, "connection.connection_type", description);
        }
        let (mut after, credential) = request.finish(self.updated(tx, &before))?;
        if after == before && credential.is_none() {
            return Ok(stored::affected(&before));
        }
        stored::touch(tx, &mut after);
        let mut diff = audit::diff(Some(&before), Some(&after));
        if let Some(input) = &credential {
            let connection_type = stored::known_type(tx.app, "connection.connection_type", &after.connection_type)?;
            let sealed = credential::seal(tx, connection_type, &mut after, input)?;
            store::credentials::put(tx.db, &after, sealed).await?;
            diff = diff.redacted("credential");
        }
        store::connections::update(tx.db, &after).await?;
        tx.audit(audit::resource(&after), diff, None, "");
        let concerns_exports = after.properties != before.properties || credential.is_some();
        Ok(if concerns_exports { affecting_exports(&after) } else { stored::affected(&after) })
    }
}

impl UpdateConnection {
    /// The connection after the update, and the new credential in its normal form.
    fn updated(&self, tx: &MutationTx<'_>, before: &Connection) -> Result<(Connection, Option<CredentialInput>)> {
        let mut after = before.clone();
        if let Some(display_name) = &self.update.display_name {
            after.display_name.clone_from(display_name);
        }
        if let Some(description) = &self.update.description {
            after.description.clone_from(description);
        }
        if let Some(labels) = &self.update.labels {
            after.labels.clone_from(labels);
        }
        let mut credential = None;
        if self.update.properties.is_some() || self.credential.is_some() {
            credential = self.update_properties(tx, before, &mut after)?;
        }
        Ok((after, credential))
    }

    /// Checks new properties and a new credential against the type. If a binding field changed without a new
    /// credential, the stored secret could be sent to another destination.
    fn update_properties(
        &self,
        tx: &MutationTx<'_>,
        before: &Connection,
        after: &mut Connection,
    ) -> Result<Option<CredentialInput>> {
        let connection_type = stored::known_type(tx.app, "connection.connection_type", &before.connection_type)?;
        let mut violations = Violations::new();
        if let Some(properties) = &self.update.properties {
            let organization = &tx.scope.organization;
            after.properties = properties::check(&mut violations, tx.app, organization, connection_type, properties);
            after.schema_version = connection_type.schema_version;
            after.needs_credential = connection_type.needs_credential();
        }
        let given = self.credential.as_ref();
        let credential = credential::check(
            &mut violations,
            connection_type,
            (&after.properties, Some(properties::PATH)),
            given,
            tx.now,
        );
        violations.into_result()?;
        if after.properties != before.properties || self.credential.is_some() {
            after.last_test = None;
        }
        let changed_binding_fields =
            connection_type.changed_binding_fields(&before.properties, &after.properties, properties::PATH);
        let stored = before.credential.auth_method.is_some();
        if stored && self.credential.is_none() && !changed_binding_fields.is_empty() {
            return Err(Precondition::CredentialReentryRequired { changed_binding_fields }.into());
        }
        Ok(credential)
    }
}
