//! The database.

use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;
use crate::model::Secret;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "database_url",
        "`postgres://…` (PostgreSQL 15 or later) or `sqlite:…`; by default `outflow.db` in the data directory. Use \
         `database_url_file` if it holds a password.",
    )
    .flag()
    .secret(),
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
}

/// What to do about the schema at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// Migrate it, under a lock.
    Auto,
    /// Wait until another process has migrated it.
    Check,
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
        let url: Option<String> = values.get("database_url")?;
        let embedded = || Location::Embedded(data_dir.join(EMBEDDED_FILE));
        let location = url.map_or_else(embedded, |url| Location::Url(Secret::new(url)));
        let allow_unverified = values.require("database_allow_unverified")?;
        Ok(Self { location, max_connections, allow_unverified, migrate: values.require("migrate")? })
    }

    /// The URL to open; it may hold a password.
    pub fn url(&self) -> String {
        match &self.location {
            Location::Embedded(file) => format!("sqlite://{}", file.display()),
            Location::Url(url) => url.expose().to_owned(),
        }
    }
}
