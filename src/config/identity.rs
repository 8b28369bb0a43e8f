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
        "`development`: tokens of `outflow token mint`, only on loopback, where it is the default. `jwt`: tokens of an issuer.",
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
];

/// How callers are identified.
pub enum Identity {
    /// By tokens signed with this server's own key pair.
    Development {
        /// The directory that holds the key pair.
        data_dir: PathBuf,
    },
    /// By tokens of an issuer.
    Jwt(JwtConfig),
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
}

impl SettingValue for IdentityMode {
    const EXPECTED: &'static str = "`development` or `jwt`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "development" => Some(Self::Development),
            "jwt" => Some(Self::Jwt),
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
            Some(IdentityMode::Jwt) => JwtConfig::parse(values).map(Self::Jwt),
            Some(IdentityMode::Development) | None => Ok(Self::Development { data_dir: data_dir.to_owned() }),
        }
    }
}

impl JwtConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, ConfigError> {
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
