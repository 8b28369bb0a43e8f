//! UpdateConnection.

use super::{Connection, answer, changes, effect_of, known_type, lock, subject, touch};
use crate::app::change::{Change, Effect};
use crate::app::{App, CredentialInput, credential};
use crate::model::text::{Labels, Object};
use crate::model::{Call, Error, Invalid, Mutation, Precondition, ResourceId, Result, Role, ConnectionTypeId, Violations};
use crate::store;
use crate::store::locks::LockMode;

/// The fields that an update names, with their new values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionUpdate {
    /// What people call it.
    pub display_name: Option<String>,
    /// What people say about it.
    pub description: Option<String>,
    /// The type as the request has it; it cannot change.
    pub connection_type: Option<ConnectionTypeId>,
    /// The fields of the type, all of them.
    pub properties: Option<Object>,
    /// Labels, all of them.
    pub labels: Option<Labels>,
}

/// A connection to be changed.
pub struct UpdateConnection {
    /// Which.
    pub id: ResourceId,
    /// As the caller last saw it; empty: whatever it is.
    pub etag: String,
    /// What is to change.
    pub update: ConnectionUpdate,
    /// A new secret, stored with the change.
    pub credential: Option<CredentialInput>,
}

impl App {
    /// Changes a connection.
    pub async fn update_connection(
        &self,
        call: &Call,
        mutation: Mutation,
        input: UpdateConnection,
    ) -> Result<Connection> {
        self.change(
            call,
            mutation,
            input,
            |change, input| Box::pin(update(change, input)),
            |change, effect| Box::pin(answer(change, effect)),
        )
        .await
    }
}

async fn update(change: &Change<'_>, input: &UpdateConnection) -> Result<Effect> {
    change.require(Role::Admin)?;
    let before = lock(change, &input.id, LockMode::Update, &input.etag).await?;
    let update = &input.update;
    if update.connection_type.as_ref().is_some_and(|asked| *asked != before.connection_type) {
        let description = "cannot change: create another connection and move its exports there with AttachExport";
        return Err(Error::invalid_as(Invalid::Immutable, "connection.connection_type", description));
    }
    let mut after = before.clone();
    if let Some(display_name) = &update.display_name {
        after.display_name.clone_from(display_name);
    }
    if let Some(description) = &update.description {
        after.description.clone_from(description);
    }
    if let Some(labels) = &update.labels {
        after.labels.clone_from(labels);
    }
    if update.properties.is_some() || input.credential.is_some() {
        bind(change, input, &before, &mut after)?;
    }
    if after == before && input.credential.is_none() {
        return Ok(effect_of(&before));
    }
    touch(change, &mut after);
    store::connections::update(change.db, &after).await?;
    if let Some(input) = &input.credential {
        let connection_type = known_type(change.app, "connection.connection_type", &after.connection_type)?;
        credential::store(change, connection_type, &mut after, input).await?;
    }
    let changes = changes::between(Some(&before), Some(&after));
    let changes = if input.credential.is_some() { changes.hidden("credential") } else { changes };
    change.audit(&subject(&after), changes, None, "");
    Ok(effect_of(&after))
}

/// Checks new properties and a new credential against the type. A change of a binding field without the credential
/// would send the stored secret elsewhere.
fn bind(change: &Change<'_>, input: &UpdateConnection, before: &Connection, after: &mut Connection) -> Result<()> {
    let connection_type = known_type(change.app, "connection.connection_type", &before.connection_type)?;
    let mut violations = Violations::new();
    if let Some(properties) = &input.update.properties {
        match connection_type.check_properties(properties, "connection.properties") {
            Ok(properties) => after.properties = properties,
            Err(found) => violations.extend(found),
        }
        after.schema_version = connection_type.schema_version;
        after.needs_credential = connection_type.needs_credential();
    }
    credential::check(&mut violations, connection_type, input.credential.as_ref(), change.now);
    violations.into_result()?;
    let changed_binding_fields =
        connection_type.changed_binding_fields(&before.properties, &after.properties, "connection.properties");
    let stored = before.credential.auth_method.is_some();
    if stored && input.credential.is_none() && !changed_binding_fields.is_empty() {
        return Err(Precondition::CredentialReentryRequired { changed_binding_fields }.into());
    }
    Ok(())
}
