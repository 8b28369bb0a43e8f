//! The keys that seal credentials, and the catalog of connection types.

use std::path::{Path, PathBuf};

use super::database::{DatabaseConfig, Location};
use super::error::ConfigError;
use super::setting::Setting;
use super::source::Values;
use crate::model::Secret;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new("key_dir", "Directory with the keys, one per file; by default `keys` in the data directory.").flag(),
    Setting::new("keys", "Keys for development without files: `id=base64` pairs between commas.").secret(),
    Setting::new("primary_key", "Id of the key that seals new credentials; by default the id that sorts last."),
    Setting::new("catalog_dir", "Directory with more connection types, one TOML file each."),
];

/// The keys that seal credentials.
pub struct KeysConfig {
    /// Location of the keys.
    pub location: KeyLocation,
    /// The directory that `outflow keys` works on.
    pub directory: PathBuf,
    /// The id of the key that seals; `None`: the one that sorts last.
    pub primary: Option<String>,
}

/// Where the keys are.
pub enum KeyLocation {
    /// In the directory.
    Directory,
    /// In the directory, where the first start of the embedded default makes a key.
    EmbeddedDirectory {
        /// The database file; there is no first start after it has content.
        database: PathBuf,
    },
    /// In the value of the setting.
    Inline(Secret),
}

impl KeysConfig {
    pub(super) fn parse(values: &Values, data_dir: &Path, database: &DatabaseConfig) -> Result<Self, ConfigError> {
        let directory: Option<PathBuf> = values.get("key_dir")?;
        let keys: Option<String> = values.get("keys")?;
        let location = match (keys, &directory, &database.location) {
            (Some(keys), _, _) => KeyLocation::Inline(Secret::new(keys)),
            (None, None, Location::Embedded(file)) => KeyLocation::EmbeddedDirectory { database: file.clone() },
            (None, _, _) => KeyLocation::Directory,
        };
        let directory = directory.unwrap_or_else(|| data_dir.join("keys"));
        Ok(Self { location, directory, primary: values.get("primary_key")? })
    }
}
