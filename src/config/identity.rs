//! Identity: whose tokens and client certificates are accepted.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::issuers::JwtConfig;
use super::setting::{Setting, SettingValue};
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "identity_mode",
        "`development`: tokens of `outflow token mint`, only on loopback, where it is the default. `jwt`: tokens of an issuer. \
         `mtls`: client certificates. `jwt,mtls`: either.",
    ),
    Setting::new("jwt_issuer", "The `iss` of accepted tokens, compared exactly: a slash at the end counts."),
    Setting::new(
        "jwt_issuers",
        "Several issuers, in TOML: a table per issuer with the settings of this section without `jwt_`, such as \
         `corp = { issuer = \"…\", audience = \"…\", principal_prefix = \"corp:\" }`; in a file `[jwt.issuers.corp]`. \
         Instead of the settings of one issuer.",
    )
    .table(),
    Setting::new(
        "jwt_audience",
        "The accepted audiences, between commas or as an array. A token must be meant for at least one of them.",
    )
    .list(),
    Setting::new(
        "jwt_audience_claim",
        "Claim with the audience. Access tokens of Amazon Cognito have it in `client_id`.",
    )
    .default("aud"),
    Setting::new(
        "jwt_required_claims",
        "Claims that must have a value, or contain it: `token_use=access,tenant=t1`. By default none.",
    )
    .map(),
    Setting::new(
        "jwt_jwks_url",
        "URL of the issuer's key set. By default the one that the discovery document of the issuer names, \
         `<issuer>/.well-known/openid-configuration`. Redirects and proxies are not followed.",
    ),
    Setting::new("jwt_jwks_file", "File with the issuer's key set, instead of a URL."),
    Setting::new(
        "jwt_principal_prefix",
        "Prefix of principals: a principal is the prefix followed by the principal claim. Required in mode `jwt`; may be \
         empty.",
    ),
    Setting::new("jwt_principal_claim", "Claim that identifies a principal, a string that is never given to another.")
        .default("sub"),
    Setting::new(
        "jwt_organization_claim",
        "Claim with the organization: a string, or an array or object with one organization. A dotted path, such as \
         `realm_access.organization`, selects a nested claim, unless a claim has that name; a path that begins with `/` is \
         a JSON Pointer (RFC 6901).",
    )
    .default("organization"),
    Setting::new(
        "jwt_organization_values",
        "Organization of each value of that claim, `8f3c…=acme,9b1d…=globex`; other values are ignored. By default the \
         values are the organizations.",
    )
    .map(),
    Setting::new(
        "jwt_roles_claim",
        "Claim with the roles: a string, an array, or an object of roles with the organizations that grant them, or an \
         array of such objects. Strings of `scope` and `scp` are split at spaces.",
    )
    .default("roles"),
    Setting::new(
        "jwt_role_values",
        "Role of each value of that claim, `data-owner=admin,reader=viewer`; other values give no role. By default the \
         roles' own names.",
    )
    .map(),
    Setting::new("jwt_groups_claim", "Claim with the groups, a string or an array; by default no groups."),
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
         differs from those of the issuers.",
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
    /// The issuers of tokens.
    pub jwt: Vec<JwtConfig>,
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
        let jwt = if jwt { JwtConfig::parse_all(values)? } else { Vec::new() };
        let mtls = mtls.then(|| MtlsConfig::parse(values)).transpose()?;
        if let Some(mtls) = &mtls
            && let Some(equal) = jwt.iter().find(|jwt| jwt.settings.principal_prefix == mtls.principal_prefix)
        {
            return Err(ConfigError::DuplicatePrefix {
                first: format!("the issuer `{}`", equal.settings.issuer),
                second: "`mtls_principal_prefix`".to_owned(),
                prefix: equal.settings.principal_prefix.clone(),
            });
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
