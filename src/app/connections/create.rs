//! CreateConnection.

use super::{Connection, answer, changes, effect_of, known_type, subject};
use crate::app::change::{Change, Effect};
use crate::app::{App, CredentialInput, credential};
use crate::model::text::{Labels, Object};
use crate::model::{
    Call, Availability, ConnectionName, ConnectionUid, CredentialStatus, Mutation, ResourceId, Result, Role, Sharing,
    ConnectionTypeId, Violations,
};
use crate::store;

/// What a caller may say of a new connection.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionDraft {
    /// What people call it.
    pub display_name: String,
    /// What people say about it.
    pub description: String,
    /// Its type.
    pub connection_type: ConnectionTypeId,
    /// The fields of the type.
    pub properties: Object,
    /// Who may use it.
    pub sharing: Sharing,
    /// Labels.
    pub labels: Labels,
}

/// A connection to be created.
pub struct CreateConnection {
    /// The id that the caller chose.
    pub id: Option<ResourceId>,
    /// What it is to be.
    pub draft: ConnectionDraft,
    /// Its secret.
    pub credential: Option<CredentialInput>,
}

impl App {
    /// Creates a connection and seals its credential.
    pub async fn create_connection(
        &self,
        call: &Call,
        mutation: Mutation,
        input: CreateConnection,
    ) -> Result<Connection> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(create(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }
}

async fn create(change: &Change<'_>, input: &CreateConnection) -> Result<Effect> {
    change.require(Role::Admin)?;
    let draft = &input.draft;
    let connection_type = known_type(change.app, "connection.connection_type", &draft.connection_type)?;
    let mut violations = Violations::new();
    let properties = connection_type.check_properties(&draft.properties, "connection.properties");
    let properties = properties.unwrap_or_else(|found| {
        violations.extend(found);
        Object::new()
    });
    credential::check(&mut violations, connection_type, input.credential.as_ref(), change.now);
    if connection_type.needs_credential() && input.credential.is_none() {
        violations.add("credential", format!("is required for connections of type {}", connection_type.id));
    }
    violations.into_result()?;

    let uid = ConnectionUid::new();
    let id = input.id.clone().unwrap_or_else(|| ResourceId::from_uid(uid.0));
    let principal = &change.call.caller.principal;
    let mut connection = Connection {
        name: ConnectionName { organization: change.scope.organization.clone(), id },
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
        create_time: change.now,
        updater: principal.clone(),
        update_time: change.now,
        revision: 1,
    };
    store::connections::insert(change.db, &connection).await?;
    if let Some(input) = &input.credential {
        credential::store(change, connection_type, &mut connection, input).await?;
    }
    let changes = changes::between(None, Some(&connection));
    let changes = if input.credential.is_some() { changes.hidden("credential") } else { changes };
    change.audit(&subject(&connection), changes, None, "");
    Ok(effect_of(&connection))
}
