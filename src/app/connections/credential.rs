//! Credentials: checked, sealed, stored, erased. No operation reads one.

use chrono::{DateTime, Utc};

use crate::app::MutationTx;
use crate::catalog::ConnectionType;
use crate::model::json::Object;
use crate::model::{Connection, CredentialSecret, CredentialStatus, Error, Result, SealedSecret, Violations};
use crate::vault::SealContext;

/// A credential as a caller gives it. It has no Debug.
pub struct CredentialInput {
    /// The secret values.
    pub secret: CredentialSecret,
    /// When the credential expires.
    pub expire_time: Option<DateTime<Utc>>,
}

/// Checks a credential against the type of its connection, whose properties are checked. Returns it in its normal form;
/// `None` if there is none, or if it is invalid. `properties_path` is that of the properties in the request, if it has them.
pub fn check(
    violations: &mut Violations,
    connection_type: &ConnectionType,
    properties: (&Object, Option<&str>),
    credential: Option<&CredentialInput>,
    now: DateTime<Utc>,
) -> Option<CredentialInput> {
    let credential = credential?;
    if !connection_type.needs_credential() {
        violations.add("credential", format!("must be absent; connections of type {} take none", connection_type.id));
        return None;
    }
    if credential.expire_time.is_some_and(|time| time <= now) {
        violations.add("credential.expire_time", "must be in the future");
    }
    match connection_type.check_credential(&credential.secret, "credential", properties, now) {
        Ok(secret) => Some(CredentialInput { secret, expire_time: credential.expire_time }),
        Err(found) => {
            violations.extend(found);
            None
        }
    }
}

/// Seals a checked credential and describes it in `connection.credential`. It is bound to `connection.properties`, which
/// must be the properties that it will be used with.
pub fn seal(
    tx: &MutationTx<'_>,
    connection_type: &ConnectionType,
    connection: &mut Connection,
    input: &CredentialInput,
) -> Result<SealedSecret> {
    connection.credential = CredentialStatus {
        auth_method: Some(input.secret.auth_method.clone()),
        set_fields: input.secret.fields.keys().cloned().collect(),
        revision: connection.credential.revision + 1,
        set_time: Some(tx.now),
        expire_time: input.expire_time,
    };
    let context = SealContext {
        organization: tx.scope.organization.as_str(),
        connection_uid: connection.uid.0,
        revision: u64::try_from(connection.credential.revision).map_err(Error::internal)?,
    };
    let binding = connection_type.binding_paths();
    Ok(tx.app.0.parts.vault.seal(&context, &binding, &connection.properties, &input.secret)?)
}
