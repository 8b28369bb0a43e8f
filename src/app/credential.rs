//! Credentials: checked, sealed, stored, erased. They go in and never come out.

use chrono::{DateTime, Utc};

use super::change::Change;
use crate::catalog::ConnectionType;
use crate::model::{Connection, CredentialStatus, Error, Result, Violations};
use crate::store::credentials::{self, Sealed};
use crate::vault::{CredentialSecret, SealContext};

/// A secret on its way in. It has no Debug.
pub struct CredentialInput {
    /// The secret values.
    pub secret: CredentialSecret,
    /// When the credential ends.
    pub expire_time: Option<DateTime<Utc>>,
}

/// Checks a credential against its type: it is there if the type needs one, and fits.
pub(super) fn check(
    violations: &mut Violations,
    connection_type: &ConnectionType,
    credential: Option<&CredentialInput>,
    now: DateTime<Utc>,
) {
    let Some(credential) = credential else { return };
    if !connection_type.needs_credential() {
        violations.add("credential", format!("connections of type {} take no credential", connection_type.id));
        return;
    }
    let secret = &credential.secret;
    let values = secret.fields.iter().map(|(key, value)| (key.as_str(), value.expose()));
    if let Err(found) = connection_type.check_credential(&secret.auth_method, values, "credential") {
        violations.extend(found);
    }
    if credential.expire_time.is_some_and(|time| time <= now) {
        violations.add("credential.expire_time", "must lie ahead");
    }
}

/// Seals a checked credential and stores it in place of the present one. `connection.properties` are those that it
/// will be used with.
pub(super) async fn store(
    change: &Change<'_>,
    connection_type: &ConnectionType,
    connection: &mut Connection,
    input: &CredentialInput,
) -> Result<()> {
    let fields = input.secret.fields.iter();
    connection.credential = CredentialStatus {
        auth_method: Some(input.secret.auth_method.clone()),
        set_fields: fields.filter(|(_, value)| !value.expose().trim().is_empty()).map(|(key, _)| key.clone()).collect(),
        revision: connection.credential.revision + 1,
        set_time: Some(change.now),
        expire_time: input.expire_time,
    };
    let context = SealContext {
        organization: change.scope.organization.as_str(),
        connection_uid: connection.uid.0,
        revision: u64::try_from(connection.credential.revision).map_err(Error::internal)?,
    };
    let binding = connection_type.binding_paths();
    let vault = &change.app.0.vault;
    let sealed = vault.seal(&context, &binding, &connection.properties, &input.secret)?;
    let sealed = Sealed { key_id: sealed.key_id, envelope: sealed.envelope };
    credentials::put(change.db, connection, sealed).await
}

/// Erases the stored credential.
pub(super) async fn erase(change: &Change<'_>, connection: &mut Connection) -> Result<()> {
    let revision = connection.credential.revision + 1;
    connection.credential = CredentialStatus { revision, ..CredentialStatus::default() };
    credentials::erase(change.db, connection).await
}
