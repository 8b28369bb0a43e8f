//! Issuers of tokens: whose tokens are accepted, and what their claims mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::error::ConfigError;
use super::setting::SettingValue;
use super::source::Values;
use crate::model::{ClaimPath, IssuerSettings, OrganizationId, Role};

/// The prefix of the settings of an issuer.
const PREFIX: &str = "jwt";

/// An issuer of tokens.
pub struct JwtConfig {
    /// Its name, and what its claims mean.
    pub settings: IssuerSettings,
    /// Where its key set is.
    pub key_set: KeySetLocation,
}

/// Where a key set is.
pub enum KeySetLocation {
    /// At a URL.
    Url(String),
    /// In a file.
    File(PathBuf),
    /// Where the discovery document of the issuer says.
    Discovery,
}

impl SettingValue for ClaimPath {
    const EXPECTED: &'static str = "the name of a claim, a dotted path such as `realm_access.roles`, or a JSON Pointer such \
                                    as `/resource_access/app.example.com/roles`, in which `~1` is a slash and `~0` a tilde";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

/// A list between commas, of at least one entry.
struct List(Vec<String>);

impl SettingValue for List {
    const EXPECTED: &'static str = "strings between commas, none of them empty";

    fn parse(text: &str) -> Option<Self> {
        let entries: Vec<String> = text.split(',').map(|entry| entry.trim().to_owned()).collect();
        entries.iter().all(|entry| !entry.is_empty()).then_some(Self(entries))
    }
}

/// Parses `key=value` pairs between commas, each key once.
fn pairs<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<BTreeMap<String, T>> {
    let mut pairs = BTreeMap::new();
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (key.trim(), parse(value.trim())?);
        if key.is_empty() || pairs.insert(key.to_owned(), value).is_some() {
            return None;
        }
    }
    Some(pairs)
}

/// The value of `jwt_role_values`.
struct RoleValues(BTreeMap<String, Role>);

impl SettingValue for RoleValues {
    const EXPECTED: &'static str = "`value=role` pairs between commas, each value once";

    fn parse(text: &str) -> Option<Self> {
        pairs(text, Role::parse).map(Self)
    }
}

/// The value of `jwt_organization_values`.
struct OrganizationValues(BTreeMap<String, OrganizationId>);

impl SettingValue for OrganizationValues {
    const EXPECTED: &'static str = "`value=organization` pairs between commas, each value once; an organization is of a-z, \
                                    0-9 and `-`";

    fn parse(text: &str) -> Option<Self> {
        pairs(text, OrganizationId::parse).map(Self)
    }
}

/// The value of `jwt_required_claims`.
struct RequiredClaims(Vec<(ClaimPath, String)>);

impl SettingValue for RequiredClaims {
    const EXPECTED: &'static str = "`claim=value` pairs between commas, each claim once";

    fn parse(text: &str) -> Option<Self> {
        let pairs = pairs(text, |value| (!value.is_empty()).then(|| value.to_owned()))?;
        pairs.into_iter().map(|(path, value)| Some((ClaimPath::parse(&path)?, value))).collect::<Option<_>>().map(Self)
    }
}

impl JwtConfig {
    /// Parses every issuer: those of `jwt_issuers`, or the one of the other settings.
    pub(super) fn parse_all(values: &Values) -> Result<Vec<Self>, ConfigError> {
        let entries = values.entries("jwt_issuers", PREFIX)?;
        if entries.is_empty() {
            return Ok(vec![Self::parse(values)?]);
        }
        if values.is_set("jwt_issuer") || values.is_set("jwt_principal_prefix") {
            return Err(ConfigError::Conflict("set `jwt_issuers`, or the other settings of one issuer, not both"));
        }
        let (mut issuers, mut prefixes) = (BTreeSet::new(), BTreeMap::new());
        let mut parsed = Vec::new();
        for (name, entry) in &entries {
            let config = Self::parse(entry)?;
            let IssuerSettings { issuer, principal_prefix, .. } = &config.settings;
            if !issuers.insert(issuer.clone()) {
                return Err(ConfigError::DuplicateIssuer(issuer.clone()));
            }
            if let Some(first) = prefixes.insert(principal_prefix.clone(), name) {
                return Err(ConfigError::DuplicatePrefix {
                    first: format!("the entry `{first}` of `jwt_issuers`"),
                    second: format!("the entry `{name}`"),
                    prefix: principal_prefix.clone(),
                });
            }
            parsed.push(config);
        }
        Ok(parsed)
    }

    fn parse(values: &Values) -> Result<Self, ConfigError> {
        let (Some(issuer), Some(List(audiences))) = (values.get::<String>("jwt_issuer")?, values.get("jwt_audience")?)
        else {
            return Err(ConfigError::Conflict(
                "identity mode `jwt` needs `jwt_issuer` and `jwt_audience` of each issuer",
            ));
        };
        let key_set = match (values.get("jwt_jwks_url")?, values.get("jwt_jwks_file")?) {
            (Some(url), None) => KeySetLocation::Url(url),
            (None, Some(file)) => KeySetLocation::File(file),
            (None, None) if issuer.starts_with("https://") || issuer.starts_with("http://") => {
                KeySetLocation::Discovery
            }
            (None, None) => {
                return Err(ConfigError::Conflict(
                    "an issuer that is not a URL needs `jwt_jwks_url` or `jwt_jwks_file`, since it has no discovery \
                     document",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError::Conflict("an issuer has `jwt_jwks_url` or `jwt_jwks_file`, not both"));
            }
        };
        let Some(principal_prefix) = values.get("jwt_principal_prefix")? else {
            return Err(ConfigError::Conflict(
                "identity mode `jwt` needs `jwt_principal_prefix` of each issuer; it may be empty",
            ));
        };
        let settings = IssuerSettings {
            issuer,
            audience_claim: values.require("jwt_audience_claim")?,
            audiences,
            required_claims: values.get("jwt_required_claims")?.map_or_else(Vec::new, |RequiredClaims(pairs)| pairs),
            principal_prefix,
            principal_claim: values.require("jwt_principal_claim")?,
            organization_claim: values.require("jwt_organization_claim")?,
            organization_values: values.get("jwt_organization_values")?.map(|OrganizationValues(values)| values),
            roles_claim: values.require("jwt_roles_claim")?,
            role_values: values.get("jwt_role_values")?.map(|RoleValues(values)| values),
            groups_claim: values.get("jwt_groups_claim")?,
        };
        Ok(Self { settings, key_set })
    }
}
