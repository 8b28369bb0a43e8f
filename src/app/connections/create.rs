//! Implements CreateConnection.

use super::{CredentialInput, audit, credential, properties, stored};
use crate::app::{Affected, Mutation, MutationTx, quotas};
use crate::model::json::{Labels, Object};
use crate::model::{
    Availability, Connection, ConnectionName, ConnectionTypeId, ConnectionUid, CredentialStatus, ResourceId, Result,
    Sharing, Violations,
};
use crate::store;

/// Creates a connection and seals its credential.
pub struct CreateConnection {
    /// The id that the caller chose; `None` to use the uid.
    pub id: Option<ResourceId>,
    /// The new connection.
    pub draft: ConnectionDraft,
    /// Its credential.
    pub credential: Option<CredentialInput>,
}

/// Fields of a new connection that a caller sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionDraft {
    /// Display name.
    pub display_name: String,
    /// Free-form description.
    pub description: String,
    /// Its type.
    pub connection_type: ConnectionTypeId,
    /// The fields of the type.
    pub properties: Object,
    /// Who may use it.
    pub sharing: Sharing,
    /// Labels by key.
    pub labels: Labels,
}

impl Mutation for CreateConnection {
    type Response = Connection;

    const CHECKS_FIELDS: bool = true;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        quotas::check_connections(tx.app.quotas(), tx.db, &tx.scope).await?;
        let connection_type = stored::known_type(tx.app, "connection.connection_type", &self.draft.connection_type)?;
        let mut violations = Violations::new();
        let (organization, given) = (&tx.scope.organization, &self.draft.properties);
        let properties = properties::check(&mut violations, tx.app, organization, connection_type, given);
        let given = self.credential.as_ref();
        let credential =
            credential::check(&mut violations, connection_type, (&properties, Some(properties::PATH)), given, tx.now);
        if connection_type.needs_credential() && self.credential.is_none() {
            violations.add("credential", format!("is required for connections of type {}", connection_type.id));
        }
        violations.into_result()?;

        let version = connection_type.schema_version;
        let mut connection = self.new_connection(tx, properties, version, connection_type.needs_credential());
        let seal = |input| credential::seal(tx, connection_type, &mut connection, input);
        let sealed = credential.as_ref().map(seal).transpose()?;
        store::connections::insert(tx.db, &connection).await?;
        let mut diff = audit::diff(None, Some(&connection));
        if let Some(sealed) = sealed {
            store::credentials::put(tx.db, &connection, sealed).await?;
            diff = diff.redacted("credential");
        }
        tx.audit(audit::resource(&connection), diff, None, "");
        let affected = stored::affected(&connection);
        tx.connection = Some(connection);
        Ok(affected)
    }
}

impl CreateConnection {
    fn new_connection(
        &self,
        tx: &MutationTx<'_>,
        properties: Object,
        schema_version: u32,
        needs_credential: bool,
    ) -> Connection {
        let uid = ConnectionUid::new();
        let id = self.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
        let (draft, principal) = (&self.draft, tx.context.actor.principal());
        Connection {
            name: ConnectionName { organization: tx.scope.organization.clone(), id },
            uid,
            display_name: draft.display_name.clone(),
            description: draft.description.clone(),
            connection_type: draft.connection_type.clone(),
            schema_version,
            properties,
            needs_credential,
            credential: CredentialStatus::default(),
            sharing: draft.sharing.clone(),
            availability: Availability::Active,
            suspended: false,
            suspend_reason: String::new(),
            attached_export_count: 0,
            attachment_revision: 0,
            last_attached_revision: 0,
            labels: draft.labels.clone(),
            creator: principal.clone(),
            create_time: tx.now,
            updater: principal,
            update_time: tx.now,
            revision: 1,
            last_test: None,
        }
    }
}
