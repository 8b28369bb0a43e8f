//! The database.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;
use crate::model::{DatabaseLogin, POSTGRES_PORT, Pooler, Secret, SslMode};

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "database_url",
        "`postgres://…` (PostgreSQL 15 or later) or `sqlite:…`; by default `outflow.db` in the data directory. Use \
         `database_url_file` if it holds a password.",
    )
    .flag()
    .secret(),
    Setting::new(
        "database_host",
        "Instead of a URL: host name, address, or directory of the Unix socket. Requires `database_name` and `database_user`.",
    )
    .file(),
    Setting::new("database_port", "Port of PostgreSQL; `5432` if it is not set.").file(),
    Setting::new("database_name", "Name of the database.").file(),
    Setting::new("database_user", "Role that logs in.").file(),
    Setting::new("database_password", "Its password, if it has one; it needs no percent-encoding.").secret(),
    Setting::new(
        "database_ssl_mode",
        "`verify-full`, `verify-ca`, `require`, `prefer` or `disable`, if the URL does not say so; with `database_host` on \
         another host, `verify-full`.",
    ),
    Setting::new(
        "database_ca_file",
        "Certificate authorities of PostgreSQL (PEM), in addition to the public ones, if the URL has no `sslrootcert`.",
    ),
    Setting::new(
        "database_pooler",
        "`session`: there is a pooler in front of PostgreSQL, such as PgBouncer with `pool_mode = session`, which refuses \
         start-up parameters. Other modes of pooling are refused at start; `none`: there is no pooler.",
    )
    .default("none"),
    Setting::new("database_max_connections", "Connections to PostgreSQL for calls; background work has 2 more, and readiness 1.")
        .default("20"),
    Setting::new(
        "database_allow_unverified",
        "Allows PostgreSQL on another host without `sslmode=verify-full`: the network is trusted.",
    )
    .default("false"),
    Setting::new(
        "migrate",
        "`auto`: migrate the schema at start, under a lock. `check`: wait at start until another process has migrated it.",
    )
    .default("auto"),
    Setting::new("data_dir", "Directory in which the embedded default keeps its files.")
        .default("./outflow-data")
        .flag(),
];

/// The file of the embedded default, in the data directory.
const EMBEDDED_FILE: &str = "outflow.db";
/// Minimum: one connection for reads and one for writes.
const MIN_CONNECTIONS: u32 = 2;

/// The database and its schema.
pub struct DatabaseConfig {
    /// Location of the database.
    pub location: Location,
    /// Connections to PostgreSQL for calls.
    pub max_connections: u32,
    /// What TLS protects from, if the URL does not say so.
    pub ssl_mode: Option<SslMode>,
    /// Authorities of the server, if the URL does not name them.
    pub ca_file: Option<PathBuf>,
    /// What is between this process and PostgreSQL.
    pub pooler: Pooler,
    /// Whether a PostgreSQL server on another host needs no verified certificate.
    pub allow_unverified: bool,
    /// What to do about the schema at start.
    pub migrate: Migrate,
}

/// Where the database is.
pub enum Location {
    /// A SQLite file in the data directory, with a key that the server creates.
    Embedded(PathBuf),
    /// The database of a URL, which may hold a password.
    Url(Secret),
    /// The database of separate settings.
    Login(DatabaseLogin),
}

/// What to do about the schema at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// Migrate it, under a lock.
    Auto,
    /// Wait until another process has migrated it.
    Check,
}

/// A text that is not empty.
struct NotEmpty(String);

impl SettingValue for NotEmpty {
    const EXPECTED: &'static str = "a text that is not empty";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

impl SettingValue for SslMode {
    const EXPECTED: &'static str = "`verify-full`, `verify-ca`, `require`, `prefer` or `disable`";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl SettingValue for Pooler {
    const EXPECTED: &'static str =
        "`session` or `none`; transaction and statement pooling break timeouts, locks and prepared statements";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self::None),
            "session" => Some(Self::Session),
            _ => None,
        }
    }
}

impl SettingValue for Migrate {
    const EXPECTED: &'static str = "`auto` or `check`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "check" => Some(Self::Check),
            _ => None,
        }
    }
}

impl DatabaseConfig {
    pub(super) fn parse(values: &Values, data_dir: &Path) -> Result<Self, ConfigError> {
        let max_connections = values.require("database_max_connections")?;
        if max_connections < MIN_CONNECTIONS {
            return Err(ConfigError::Conflict("`database_max_connections` must be 2 or more"));
        }
        Ok(Self {
            location: Location::parse(values, data_dir)?,
            max_connections,
            ssl_mode: values.get("database_ssl_mode")?,
            ca_file: values.get("database_ca_file")?,
            pooler: values.require("database_pooler")?,
            allow_unverified: values.require("database_allow_unverified")?,
            migrate: values.require("migrate")?,
        })
    }

    /// The URL to open, which may hold a password; `None`: there are separate settings.
    pub fn url(&self) -> Option<String> {
        match &self.location {
            Location::Embedded(file) => Some(format!("sqlite://{}", file.display())),
            Location::Url(url) => Some(url.expose().to_owned()),
            Location::Login(_) => None,
        }
    }
}

impl Location {
    fn parse(values: &Values, data_dir: &Path) -> Result<Self, ConfigError> {
        let url: Option<String> = values.get("database_url")?;
        let (host, name, user) =
            (text(values, "database_host")?, text(values, "database_name")?, text(values, "database_user")?);
        let port: Option<u16> = values.get("database_port")?;
        let password = text(values, "database_password")?.map(Secret::new);
        let is_separate = host.is_some() || name.is_some() || user.is_some() || port.is_some() || password.is_some();
        if let Some(url) = url {
            return if is_separate {
                Err(ConfigError::Conflict(
                    "`database_url` and separate settings, such as `database_host` or `database_password`, are both set; set \
                     the URL alone, or all of `database_host`, `database_name` and `database_user`",
                ))
            } else {
                Ok(Self::Url(Secret::new(url)))
            };
        }
        if !is_separate {
            return Ok(Self::Embedded(data_dir.join(EMBEDDED_FILE)));
        }
        let missing = |setting| ConfigError::Conflict(setting);
        Ok(Self::Login(DatabaseLogin {
            host: host.ok_or_else(|| {
                missing("`database_host` is missing, because other separate settings of the database are set")
            })?,
            port: port.unwrap_or(POSTGRES_PORT),
            name: name.ok_or_else(|| {
                missing("`database_name` is missing, because other separate settings of the database are set")
            })?,
            user: user.ok_or_else(|| {
                missing("`database_user` is missing, because other separate settings of the database are set")
            })?,
            password,
        }))
    }
}

/// A text that is not empty; an empty one is a mistake.
fn text(values: &Values, key: &'static str) -> Result<Option<String>, ConfigError> {
    Ok(values.get::<NotEmpty>(key)?.map(|NotEmpty(text)| text))
}
