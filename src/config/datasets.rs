//! Sources of datasets: where the tables that can be exported are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::database::{DatabaseConfig, Location};
use super::error::ConfigError;
use super::setting::{Setting, SettingValue};
use super::source::Values;
use crate::model::{OrganizationId, Secret};

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "dataset_location",
        "Source of every organization that has none of its own: a directory, `s3://bucket/prefix`, `az://container/prefix`, \
         `gs://bucket/prefix` or `postgres://user@host/database`. `none`: no source, and payloads are not checked. Default: \
         `datasets` in the data directory with the embedded database, else `none`.",
    ),
    Setting::new(
        "dataset_sources",
        "Sources of single organizations: `acme=/srv/acme,globex=s3://globex-data/exports?region=eu-central-1`.",
    )
    .map(),
    Setting::new(
        "dataset_options",
        "Credentials of sources, in TOML: a table per organization, and `\"*\"` for that of `dataset_location`, such as \
         `acme = { password = \"…\" }`.",
    )
    .secret(),
];

/// The key of the source of all organizations in `dataset_options`.
const EVERY_ORGANIZATION: &str = "*";
/// The directory of the embedded default, in the data directory.
const EMBEDDED_DIRECTORY: &str = "datasets";

/// The sources of datasets. It holds secrets, so it has no Debug.
pub struct DatasetsConfig {
    /// The source of every organization that has none of its own.
    pub default: DefaultSource,
    /// Sources of single organizations.
    pub organizations: BTreeMap<OrganizationId, DatasetSource>,
}

/// The source of every organization that has none of its own.
pub enum DefaultSource {
    /// There is none.
    None,
    /// A directory in the data directory, where the first start writes a sample.
    Embedded {
        /// The directory.
        directory: PathBuf,
        /// The database file; there is no first start after it has content.
        database: PathBuf,
    },
    /// A configured source.
    Configured(DatasetSource),
}

/// A source of datasets. It holds secrets, so it has no Debug.
pub struct DatasetSource {
    /// A directory or a URL.
    pub location: String,
    /// Its credentials.
    pub options: BTreeMap<String, Secret>,
}

impl DatasetSource {
    /// Its path, if it is a directory.
    fn directory(&self) -> Option<&Path> {
        (!self.location.contains("://")).then(|| Path::new(&self.location))
    }
}

/// The value of `dataset_sources`.
struct Sources(BTreeMap<OrganizationId, String>);

impl SettingValue for Sources {
    const EXPECTED: &'static str = "`organization=location` pairs between commas, each organization once";

    fn parse(text: &str) -> Option<Self> {
        let mut sources = BTreeMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (organization, location) = pair.split_once('=')?;
            let organization = OrganizationId::parse(organization.trim())?;
            let location = location.trim();
            if location.is_empty() || sources.insert(organization, location.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self(sources))
    }
}

/// The value of `dataset_options`.
struct Options(BTreeMap<String, BTreeMap<String, Secret>>);

impl SettingValue for Options {
    const EXPECTED: &'static str = "TOML with a table of strings per organization, or `\"*\"`";

    fn parse(text: &str) -> Option<Self> {
        let sources = text.parse::<Table>().ok()?;
        let option = |(key, value): (String, Value)| match value {
            Value::String(text) => Some((key, Secret::new(text))),
            Value::Boolean(value) => Some((key, Secret::new(value.to_string()))),
            Value::Integer(_) | Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
        };
        let source = |(key, value): (String, Value)| match value {
            Value::Table(options) => Some((key, options.into_iter().map(option).collect::<Option<_>>()?)),
            Value::String(_)
            | Value::Boolean(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Datetime(_)
            | Value::Array(_) => None,
        };
        sources.into_iter().map(source).collect::<Option<_>>().map(Self)
    }
}

impl DatasetsConfig {
    /// The directories that are sources.
    pub fn directories(&self) -> Vec<&Path> {
        let default = match &self.default {
            DefaultSource::None => None,
            DefaultSource::Embedded { directory, .. } => Some(directory.as_path()),
            DefaultSource::Configured(source) => source.directory(),
        };
        default.into_iter().chain(self.organizations.values().filter_map(DatasetSource::directory)).collect()
    }

    pub(super) fn parse(values: &Values, data_dir: &Path, database: &DatabaseConfig) -> Result<Self, ConfigError> {
        let location: Option<String> = values.get("dataset_location")?;
        let Sources(sources) = values.get("dataset_sources")?.unwrap_or(Sources(BTreeMap::new()));
        let Options(mut options) = values.get("dataset_options")?.unwrap_or(Options(BTreeMap::new()));
        let default = match (location.as_deref(), &database.location) {
            (Some("none"), _) | (None, Location::Url(_) | Location::Login(_)) => DefaultSource::None,
            (None, Location::Embedded(file)) => {
                let directory = data_dir.join(EMBEDDED_DIRECTORY);
                DefaultSource::Embedded { directory, database: file.clone() }
            }
            (Some(location), _) => {
                let options = options.remove(EVERY_ORGANIZATION).unwrap_or_default();
                DefaultSource::Configured(DatasetSource { location: location.to_owned(), options })
            }
        };
        let source = |(organization, location): (OrganizationId, String)| {
            let options = options.remove(organization.as_str()).unwrap_or_default();
            (organization, DatasetSource { location, options })
        };
        let organizations = sources.into_iter().map(source).collect();
        if !options.is_empty() {
            return Err(ConfigError::Conflict("`dataset_options` has options for a source that is not configured"));
        }
        Ok(Self { default, organizations })
    }
}
