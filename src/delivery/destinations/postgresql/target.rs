//! The values of a connection and of an export, parsed.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::delivery::DeliveryError;
use crate::model::json::Object;
use crate::model::{CredentialSecret, FailureCode, Secret};

/// Properties of a connection.
#[derive(Deserialize)]
pub(super) struct Server {
    /// Host name or address.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// Database.
    pub(super) dbname: String,
    /// Role.
    pub(super) user: String,
    /// How the server is verified.
    pub(super) sslmode: SslMode,
}

/// How the server is verified. A certificate of an authority is always verified if one is configured, as in libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SslMode {
    /// Certificate and host name.
    VerifyFull,
    /// Certificate alone.
    VerifyCa,
    /// Not verified, unless a root certificate is configured.
    Require,
}

/// The credential of a connection.
pub(super) struct Credential {
    /// The password.
    pub(super) password: Option<Secret>,
    /// Certificate and key of the client, in PEM.
    pub(super) client_certificate: Option<(Secret, Secret)>,
    /// Certificates of authorities, in PEM.
    pub(super) root_certificate: Option<Secret>,
}

/// The table that an export writes to: settings of the export.
#[derive(Clone, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the keys of the settings")]
pub(super) struct Table {
    /// Schema.
    pub(super) schema: String,
    /// Name.
    pub(super) table: String,
    /// Whether its rows are deleted first.
    pub(super) write_mode: WriteMode,
}

/// How existing rows are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WriteMode {
    /// They are kept.
    Append,
    /// They are deleted.
    Replace,
}

impl Credential {
    /// Reads a credential of the catalog.
    pub(super) fn new(secret: CredentialSecret) -> Result<Self, DeliveryError> {
        let mut fields = secret.fields;
        let mut optional = |key: &str| fields.remove(key).filter(|value| !value.expose().is_empty());
        let missing =
            |key: &str| DeliveryError::new(FailureCode::CredentialRequired, format!("the credential has no {key}"));
        let mut credential =
            Self { password: None, client_certificate: None, root_certificate: optional("sslrootcert") };
        match secret.auth_method.as_str() {
            "password" => credential.password = Some(optional("password").ok_or_else(|| missing("password"))?),
            "client_certificate" => {
                let certificate = optional("sslcert").ok_or_else(|| missing("sslcert"))?;
                let key = optional("sslkey").ok_or_else(|| missing("sslkey"))?;
                credential.client_certificate = Some((certificate, key));
            }
            other => {
                return Err(DeliveryError::new(FailureCode::Internal, format!("the auth method {other} is unknown")));
            }
        }
        Ok(credential)
    }
}

impl Table {
    /// The qualified name, quoted.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

/// An identifier in double quotes.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Parses values that the catalog checked.
pub(super) fn parse<T: DeserializeOwned>(what: &str, values: Object) -> Result<T, DeliveryError> {
    serde_json::from_value(Value::Object(values))
        .map_err(|error| DeliveryError::with(FailureCode::Internal, what, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        let table = Table { schema: "my schema".into(), table: "a\"; DROP".into(), write_mode: WriteMode::Append };
        assert_eq!(table.quoted(), r#""my schema"."a""; DROP""#);
    }
}
