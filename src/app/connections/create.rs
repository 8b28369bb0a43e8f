//! Implements CreateConnection.

use chrono::{DateTime, Utc};

use super::{CredentialInput, audit, credential, properties, stored};
use crate::app::{Affected, App, Mutation, MutationTx, quotas};
use crate::catalog::ConnectionType;
use crate::model::json::{Labels, Object};
use crate::model::{
    Availability, Connection, ConnectionName, ConnectionTypeId, ConnectionUid, CredentialStatus, OpContext, ResourceId,
    Result, SealedSecret, Sharing, Violations,
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
    /// The connection to insert, and its sealed credential; `None` until they are made, before the transaction.
    pub new: Option<Result<(Connection, Option<SealedSecret>)>>,
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

    /// Checks and seals before the transaction, which on SQLite keeps all others waiting.
    async fn prepare(&mut self, app: &App, context: &OpContext) {
        self.new = Some(self.check(app, context));
    }

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        quotas::check_connections(tx.app.quotas(), tx.db, &tx.scope).await?;
        let new = self.new.clone().unwrap_or_else(|| self.check(tx.app, tx.context));
        let (mut connection, sealed) = new?;
        (connection.create_time, connection.update_time) = (tx.now, tx.now);
        connection.credential.set_time = sealed.as_ref().map(|_| tx.now);
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
    /// Checks the fields, and seals the credential.
    fn check(&self, app: &App, context: &OpContext) -> Result<(Connection, Option<SealedSecret>)> {
        let (draft, now) = (&self.draft, app.now());
        let connection_type = stored::known_type(app, "connection.connection_type", &draft.connection_type)?;
        let mut violations = Violations::new();
        let properties =
            properties::check(&mut violations, app, &context.organization, connection_type, &draft.properties);
        let given = self.credential.as_ref();
        let credential =
            credential::check(&mut violations, connection_type, (&properties, Some(properties::PATH)), given, now);
        if connection_type.needs_credential() && self.credential.is_none() {
            violations.add("credential", format!("is required for connections of type {}", connection_type.id));
        }
        violations.into_result()?;
        let mut connection = self.connection(context, connection_type, properties, now);
        let seal = |input| credential::seal(app, connection_type, &mut connection, input, now);
        let sealed = credential.as_ref().map(seal).transpose()?;
        Ok((connection, sealed))
    }

    fn connection(
        &self,
        context: &OpContext,
        connection_type: &ConnectionType,
        properties: Object,
        now: DateTime<Utc>,
    ) -> Connection {
        let uid = ConnectionUid::new();
        let id = self.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
        let (draft, principal) = (&self.draft, context.actor.principal());
        Connection {
            name: ConnectionName { organization: context.organization.clone(), id },
            uid,
            display_name: draft.display_name.clone(),
            description: draft.description.clone(),
            connection_type: draft.connection_type.clone(),
            schema_version: connection_type.schema_version,
            properties,
            needs_credential: connection_type.needs_credential(),
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
            create_time: now,
            updater: principal,
            update_time: now,
            revision: 1,
            last_test: None,
        }
    }
}
