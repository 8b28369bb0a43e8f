//! Identity: whose tokens are accepted, and what their claims mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;
use crate::model::Role;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "identity_mode",
        "`development`: tokens of `outflow token mint`, only on loopback, where it is the default. `jwt`: tokens of an issuer. \
         `mtls`: client certificates. `jwt,mtls`: either.",
    ),
    Setting::new("jwt_issuer", "The `iss` of accepted tokens."),
    Setting::new("jwt_audience", "The `aud` of accepted tokens."),
    Setting::new("jwt_jwks_url", "URL of the issuer's key set."),
    Setting::new("jwt_jwks_file", "File with the issuer's key set, instead of a URL."),
    Setting::new(
        "jwt_principal_prefix",
        "Prefix of principals: a principal is the prefix followed by `sub`. Required in mode `jwt`; may be empty.",
    ),
    Setting::new(
        "jwt_organization_claim",
        "Claim with the organization. A dotted path, such as `realm_access.organization`, selects a nested claim.",
    )
    .default("organization"),
    Setting::new("jwt_roles_claim", "Claim with the roles.").default("roles"),
    Setting::new(
        "jwt_role_values",
        "Role of each value of that claim, `data-owner=admin,reader=viewer`; other values give no role. By default the \
         roles' own names.",
    )
    .map(),
    Setting::new("jwt_groups_claim", "Claim with the groups; by default no groups."),
    Setting::new(
        "mtls_client_ca_file",
        "PEM file with the authorities of client certificates; read again when it changes. Required in mode `mtls`.",
    ),
    Setting::new(
        "mtls_clients_file",
        "TOML file with the organization, subject, roles and groups of each SPIFFE id; read again when it changes. \
         Required in mode `mtls`.",
    ),
    Setting::new(
        "mtls_principal_prefix",
        "Prefix of principals: a principal is the prefix followed by `subject`. Required in mode `mtls`; may be empty, and \
         differs from `jwt_principal_prefix`.",
    ),
];

/// How callers are identified.
pub enum Identity {
    /// By tokens signed with this server's own key pair.
    Development {
        /// The directory that holds the key pair.
        data_dir: PathBuf,
    },
    /// By what others issue.
    Issued(Box<IssuedIdentity>),
}

/// Tokens of an issuer, client certificates, or both.
pub struct IssuedIdentity {
    /// The issuer of tokens.
    pub jwt: Option<JwtConfig>,
    /// What identifies callers by client certificates.
    pub mtls: Option<MtlsConfig>,
}

/// What identifies callers by client certificates.
pub struct MtlsConfig {
    /// The authorities that issue them, PEM.
    pub client_ca: PathBuf,
    /// The table of clients, TOML.
    pub clients: PathBuf,
    /// The prefix of principals.
    pub principal_prefix: String,
}

/// An issuer of tokens.
pub struct JwtConfig {
    /// `iss`
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// Where its key set is.
    pub key_set: KeySetLocation,
    /// The prefix of principals.
    pub principal_prefix: String,
    /// The claim with the organization.
    pub organization_claim: String,
    /// The claim with the roles.
    pub roles_claim: String,
    /// The role of each value of that claim; `None`: the roles' own names.
    pub role_values: Option<BTreeMap<String, Role>>,
    /// The claim with the groups.
    pub groups_claim: Option<String>,
}

/// Where a key set is.
pub enum KeySetLocation {
    /// At a URL.
    Url(String),
    /// In a file.
    File(PathBuf),
}

/// The value of `identity_mode`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IdentityMode {
    /// `development`
    Development,
    /// `jwt`
    Jwt,
    /// Client certificates: `mtls`.
    Mtls,
    /// Tokens of an issuer, or client certificates: `jwt,mtls`.
    JwtAndMtls,
}

impl SettingValue for IdentityMode {
    const EXPECTED: &'static str = "`development`, `jwt`, `mtls` or `jwt,mtls`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "development" => Some(Self::Development),
            "jwt" => Some(Self::Jwt),
            "mtls" => Some(Self::Mtls),
            "jwt,mtls" => Some(Self::JwtAndMtls),
            _ => None,
        }
    }
}

/// The value of `jwt_role_values`.
struct RoleValues(BTreeMap<String, Role>);

impl SettingValue for RoleValues {
    const EXPECTED: &'static str = "`value=role` pairs between commas, each value once";

    fn parse(text: &str) -> Option<Self> {
        let mut values = BTreeMap::new();
        for pair in text.split(',') {
            let (value, role) = pair.split_once('=')?;
            let (value, role) = (value.trim(), Role::parse(role.trim())?);
            if value.is_empty() || values.insert(value.to_owned(), role).is_some() {
                return None;
            }
        }
        Some(Self(values))
    }
}

impl Identity {
    pub(super) fn parse(values: &Values, mode: Option<IdentityMode>, data_dir: &Path) -> Result<Self, ConfigError> {
        match mode {
            Some(IdentityMode::Development) | None => Ok(Self::Development { data_dir: data_dir.to_owned() }),
            Some(mode) => IssuedIdentity::parse(values, mode).map(Self::Issued),
        }
    }
}

impl IssuedIdentity {
    pub(super) fn parse(values: &Values, mode: IdentityMode) -> Result<Box<Self>, ConfigError> {
        let jwt = matches!(mode, IdentityMode::Jwt | IdentityMode::JwtAndMtls);
        let mtls = matches!(mode, IdentityMode::Mtls | IdentityMode::JwtAndMtls);
        let jwt = jwt.then(|| JwtConfig::parse(values)).transpose()?;
        let mtls = mtls.then(|| MtlsConfig::parse(values)).transpose()?;
        if let (Some(jwt), Some(mtls)) = (&jwt, &mtls)
            && jwt.principal_prefix == mtls.principal_prefix
        {
            return Err(ConfigError::Conflict(
                "`jwt_principal_prefix` and `mtls_principal_prefix` must differ, so that principals do; one may be empty",
            ));
        }
        Ok(Box::new(Self { jwt, mtls }))
    }
}

impl MtlsConfig {
    fn parse(values: &Values) -> Result<Self, ConfigError> {
        let (Some(client_ca), Some(clients)) = (values.get("mtls_client_ca_file")?, values.get("mtls_clients_file")?)
        else {
            return Err(ConfigError::Conflict(
                "identity mode `mtls` needs `mtls_client_ca_file` and `mtls_clients_file`",
            ));
        };
        let Some(principal_prefix) = values.get("mtls_principal_prefix")? else {
            return Err(ConfigError::Conflict("identity mode `mtls` needs `mtls_principal_prefix`; it may be empty"));
        };
        Ok(Self { client_ca, clients, principal_prefix })
    }
}

impl JwtConfig {
    fn parse(values: &Values) -> Result<Self, ConfigError> {
        let (Some(issuer), Some(audience)) = (values.get("jwt_issuer")?, values.get("jwt_audience")?) else {
            return Err(ConfigError::Conflict("identity mode `jwt` needs `jwt_issuer` and `jwt_audience`"));
        };
        let key_set = match (values.get("jwt_jwks_url")?, values.get("jwt_jwks_file")?) {
            (Some(url), None) => KeySetLocation::Url(url),
            (None, Some(file)) => KeySetLocation::File(file),
            _ => {
                return Err(ConfigError::Conflict(
                    "identity mode `jwt` needs exactly one of `jwt_jwks_url` and `jwt_jwks_file`",
                ));
            }
        };
        let Some(principal_prefix) = values.get("jwt_principal_prefix")? else {
            return Err(ConfigError::Conflict("identity mode `jwt` needs `jwt_principal_prefix`; it may be empty"));
        };
        Ok(Self {
            issuer,
            audience,
            key_set,
            principal_prefix,
            organization_claim: values.require("jwt_organization_claim")?,
            roles_claim: values.require("jwt_roles_claim")?,
            role_values: values.get::<RoleValues>("jwt_role_values")?.map(|RoleValues(values)| values),
            groups_claim: values.get("jwt_groups_claim")?,
        })
    }
}
