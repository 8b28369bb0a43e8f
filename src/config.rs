//! The configuration: one struct, read once. Flags over environment over file over defaults; unknown keys are errors.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

const DAY: Duration = Duration::from_hours(24);
/// What every variable of the environment begins with.
const PREFIX: &str = "OUTFLOW_";

/// Everything that an operator can set. Secrets are in `Secret`, which has no Debug; so this has none either.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the API listens. Beyond loopback it needs an identity mode, and TLS or `plaintext`.
    pub listen: SocketAddr,
    /// Where probes ask for health; plaintext.
    pub admin_listen: SocketAddr,
    /// What to do about the schema at start.
    pub migrate: Migrate,
    /// `postgres://…` or `sqlite:…`; default: a file in the data directory.
    pub database_url: Option<Secret>,
    /// A file that holds `database_url`.
    pub database_url_file: Option<PathBuf>,
    /// Connections to PostgreSQL.
    #[serde(deserialize_with = "from_text")]
    pub database_max_connections: u32,
    /// Where the embedded default keeps its files.
    pub data_dir: PathBuf,
    /// One key a file; default: `keys` in the data directory.
    pub key_dir: Option<PathBuf>,
    /// Keys for development, `id=base64` pairs between commas.
    pub keys: Option<Secret>,
    /// Which key seals; default: the one whose id sorts last.
    pub primary_key: Option<String>,
    /// More connection types, one TOML file each.
    pub catalog_dir: Option<PathBuf>,
    /// Who is believed; default on loopback: development.
    pub identity_mode: Option<IdentityMode>,
    /// `iss`
    pub jwt_issuer: Option<String>,
    /// `aud`
    pub jwt_audience: Option<String>,
    /// The issuer's key set by URL.
    pub jwt_jwks_url: Option<String>,
    /// The issuer's key set in a file.
    pub jwt_jwks_file: Option<PathBuf>,
    /// What is put before `sub` to make a principal.
    pub jwt_principal_prefix: Option<String>,
    /// The claim that holds the organization; dotted paths go into objects.
    pub jwt_organization_claim: String,
    /// The claim that holds the roles.
    pub jwt_roles_claim: String,
    /// Which values of that claim stand for which role: `value=role` pairs between commas; default: the roles' own names.
    pub jwt_role_values: Option<String>,
    /// The claim that holds the groups.
    pub jwt_groups_claim: Option<String>,
    /// The certificate chain, PEM.
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Says that something before us ends TLS.
    pub plaintext: Option<Plaintext>,
    /// Whether reflection answers; default: in development mode only.
    #[serde(deserialize_with = "some_from_text")]
    pub reflection: Option<bool>,
    /// What is logged, as `tracing` filters read it.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// How long changes stay on the audit log, in days.
    #[serde(deserialize_with = "from_text")]
    pub audit_retention_days: u32,
    /// How long denied attempts stay on the audit log, in days.
    #[serde(deserialize_with = "from_text")]
    pub denied_retention_days: u32,
}

/// A setting that nothing may print.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What to do about the schema at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Migrate {
    /// Bring it up, under a lock.
    #[default]
    Auto,
    /// Wait until somebody else has.
    Check,
}

/// Who is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// Tokens of our own key pair; loopback only.
    Development,
    /// Tokens of an issuer.
    Jwt,
}

/// Why an API beyond loopback may do without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Plaintext {
    /// A mesh or proxy ends it.
    #[serde(rename = "behind-tls")]
    BehindTls,
}

/// How it is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Settings given as flags; each wins over environment and file.
#[derive(Clone, Default, Serialize, clap::Args)]
pub struct Flags {
    /// A TOML file with settings.
    #[arg(long, global = true, env = "OUTFLOW_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where the API listens.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where probes ask for health.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<SocketAddr>,
    /// `postgres://…` or `sqlite:…`; use `OUTFLOW_DATABASE_URL_FILE` if it holds a password.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// Where the embedded default keeps its files.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// One key a file.
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_dir: Option<PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown, or a value is none. The value is not shown.
    #[error("configuration: {0}")]
    Malformed(String),
    /// A file that a setting names cannot be read.
    #[error("configuration: cannot read {path}: {cause}", path = path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Settings that do not go together.
    #[error("configuration: {0}")]
    Refused(&'static str),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 50052)),
            migrate: Migrate::Auto,
            database_url: None,
            database_url_file: None,
            database_max_connections: 20,
            data_dir: PathBuf::from("./outflow-data"),
            key_dir: None,
            keys: None,
            primary_key: None,
            catalog_dir: None,
            identity_mode: None,
            jwt_issuer: None,
            jwt_audience: None,
            jwt_jwks_url: None,
            jwt_jwks_file: None,
            jwt_principal_prefix: None,
            jwt_organization_claim: "organization".to_owned(),
            jwt_roles_claim: "roles".to_owned(),
            jwt_role_values: None,
            jwt_groups_claim: None,
            tls_cert_file: None,
            tls_key_file: None,
            plaintext: None,
            reflection: None,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            audit_retention_days: 400,
            denied_retention_days: 30,
        }
    }
}

impl Settings {
    /// Reads flags, environment and file, and checks that they go together.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = &flags.config {
            let text = read(path)?;
            figment = figment.merge(Toml::string(&text));
        }
        let figment = figment.merge(Serialized::defaults(environment())).merge(Serialized::defaults(flags));
        // The message of a type error repeats the value, which may be a secret: its kind and key are enough.
        let mut settings: Self = figment.extract().map_err(|error| ConfigError::Malformed(describe(&error)))?;
        let file = settings.database_url_file.take().filter(|_| flags.database_url.is_none());
        if let Some(path) = file {
            if settings.database_url.is_some() {
                return Err(ConfigError::Refused("give `database_url` or `database_url_file`, not both"));
            }
            settings.database_url = Some(Secret(read(&path)?.trim().to_owned()));
        }
        settings.check()?;
        Ok(settings)
    }

    /// What does not go together is refused before anything is opened.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return Err(ConfigError::Refused("`tls_cert_file` and `tls_key_file` go together"));
        }
        if !self.listen.ip().is_loopback() {
            if self.identity_mode != Some(IdentityMode::Jwt) {
                return Err(ConfigError::Refused(
                    "an API that listens beyond loopback needs `identity_mode = \"jwt\"`",
                ));
            }
            if self.tls_cert_file.is_none() && self.plaintext.is_none() {
                return Err(ConfigError::Refused(
                    "an API that listens beyond loopback takes credentials in: give `tls_cert_file` and \
                     `tls_key_file`, or `plaintext = \"behind-tls\"` if something before it ends TLS",
                ));
            }
        }
        if self.identity_mode() == IdentityMode::Jwt {
            if self.jwt_issuer.is_none() || self.jwt_audience.is_none() {
                return Err(ConfigError::Refused("identity mode `jwt` needs `jwt_issuer` and `jwt_audience`"));
            }
            if self.jwt_jwks_url.is_some() == self.jwt_jwks_file.is_some() {
                return Err(ConfigError::Refused(
                    "identity mode `jwt` needs one of `jwt_jwks_url` and `jwt_jwks_file`",
                ));
            }
            if self.jwt_principal_prefix.is_none() {
                return Err(ConfigError::Refused("identity mode `jwt` needs `jwt_principal_prefix`; it may be empty"));
            }
        }
        if self.database_max_connections < 2 {
            return Err(ConfigError::Refused("`database_max_connections` must be 2 or more"));
        }
        Ok(())
    }

    /// Who is believed.
    pub fn identity_mode(&self) -> IdentityMode {
        self.identity_mode.unwrap_or(IdentityMode::Development)
    }

    /// Whether nobody said which database: then it is a file of our own, with a key of our own.
    pub fn is_embedded(&self) -> bool {
        self.database_url.is_none()
    }

    /// The database to open.
    pub fn database_url(&self) -> String {
        let embedded = || format!("sqlite://{}", self.embedded_file().display());
        self.database_url.as_ref().map_or_else(embedded, |url| url.0.clone())
    }

    /// The file of the embedded default.
    pub fn embedded_file(&self) -> PathBuf {
        self.data_dir.join("outflow.db")
    }

    /// Where the keys are.
    pub fn key_dir(&self) -> PathBuf {
        self.key_dir.clone().unwrap_or_else(|| self.data_dir.join("keys"))
    }

    /// How long changes stay on the audit log.
    pub fn audit_retention(&self) -> Duration {
        DAY * self.audit_retention_days
    }

    /// How long denied attempts stay on the audit log.
    pub fn denied_retention(&self) -> Duration {
        DAY * self.denied_retention_days
    }
}

impl Secret {
    /// A secret setting.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })
}

/// The variables that are settings, each as the text that it is: a key id of digits alone is no number.
fn environment() -> BTreeMap<String, String> {
    let variables = Env::prefixed(PREFIX).ignore(&["config"]).lowercase(true);
    let variables = variables.iter().map(|(key, value)| (key.into_string(), value));
    variables.filter(|(key, value)| !is_service_link(key, value)).collect()
}

/// Kubernetes tells every container of a Service named `outflow` by variables of that prefix.
fn is_service_link(key: &str, value: &str) -> bool {
    let address = key == "port" && value.contains("://");
    address || key.starts_with("port_") || key.starts_with("service_host") || key.starts_with("service_port")
}

/// A number or a switch, as the environment has it: by its text.
fn from_text<'de, T, D>(value: D) -> Result<T, D::Error>
where
    T: FromStr + Deserialize<'de>,
    D: Deserializer<'de>,
{
    match Written::<T>::deserialize(value)? {
        Written::Typed(value) => Ok(value),
        Written::Text(text) => text.parse().map_err(|_| D::Error::custom("cannot be read")),
    }
}

fn some_from_text<'de, T, D>(value: D) -> Result<Option<T>, D::Error>
where
    T: FromStr + Deserialize<'de>,
    D: Deserializer<'de>,
{
    from_text(value).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Typed(T),
    Text(String),
}

fn describe(error: &figment::Error) -> String {
    use figment::error::Kind;
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(field, _) => format!("unknown key `{field}`"),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("`{path}` must be {expected}"),
        Kind::UnknownVariant(_, known) => format!("`{path}` must be one of {}", known.join(", ")),
        Kind::Message(_)
        | Kind::MissingField(_)
        | Kind::DuplicateField(_)
        | Kind::InvalidLength(..)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => format!("`{path}` is malformed"),
    }
}
