//! Deliveries: where local files are written.

use std::path::{Path, PathBuf};

use super::database::{DatabaseConfig, Location};
use super::error::ConfigError;
use super::setting::Setting;
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[Setting::new(
    "local_directory_root",
    "Directory below which connections of the type `local_directory` write, each organization in a subdirectory of its own; \
     it must exist. By default `outbox` in the data directory with the embedded database, else none: runs on these \
     connections fail.",
)];

/// The directory of the embedded default, in the data directory.
const EMBEDDED_ROOT: &str = "outbox";

/// Where deliveries can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveriesConfig {
    /// The root of local directories.
    pub local_directory_root: Option<LocalDirectoryRoot>,
}

/// The directory below which local files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalDirectoryRoot {
    /// In the data directory; it is created.
    Embedded(PathBuf),
    /// An existing directory.
    Configured(PathBuf),
}

impl LocalDirectoryRoot {
    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Embedded(path) | Self::Configured(path) => path,
        }
    }
}

impl DeliveriesConfig {
    pub(super) fn parse(values: &Values, data_dir: &Path, database: &DatabaseConfig) -> Result<Self, ConfigError> {
        let configured: Option<PathBuf> = values.get("local_directory_root")?;
        let embedded = match &database.location {
            Location::Embedded(_) => Some(LocalDirectoryRoot::Embedded(data_dir.join(EMBEDDED_ROOT))),
            Location::Url(_) | Location::Login(_) => None,
        };
        Ok(Self { local_directory_root: configured.map(LocalDirectoryRoot::Configured).or(embedded) })
    }
}
