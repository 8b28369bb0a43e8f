//! The configuration: parsed once into types that cannot represent invalid combinations.
//!
//! A setting is defined in the file of its concern, with its default and its documentation. Flags take precedence over
//! environment variables, environment variables over the file, and the file over defaults.

mod api;
mod client;
mod database;
mod datasets;
mod deliveries;
mod error;
mod flags;
mod identity;
mod issuers;
mod keys;
mod limits;
mod outbound;
mod print;
mod retention;
mod runs;
mod schedules;
mod setting;
mod settings;
mod source;
mod telemetry;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use api::{ApiConfig, Exposure, NetworkTls, TlsFiles};
pub use client::ClientConfig;
pub use database::{DatabaseConfig, Location, Migrate};
pub use datasets::{DatasetSource, DatasetsConfig, DefaultSource};
pub use deliveries::{DeliveriesConfig, LocalDirectoryRoot};
pub use error::ConfigError;
pub use flags::Flags;
pub use identity::{Identity, IssuedIdentity, MtlsConfig};
pub use issuers::{JwtConfig, KeySetLocation};
pub use keys::{KeyLocation, KeysConfig};
pub use limits::LimitsConfig;
pub use outbound::OutboundConfig;
pub use print::{effective, reference};
pub use retention::RetentionConfig;
pub use runs::RunsConfig;
pub use schedules::TimeZoneData;
pub use setting::{Setting, SettingValue};
pub use settings::{SETTINGS, all};
pub use source::{Source, Values};
pub use telemetry::{LogFormat, TelemetryConfig, TracesConfig};

/// The configuration of a server. It holds secrets, so it has no Debug.
pub struct Config {
    /// The directory in which the embedded default keeps its files.
    pub data_dir: PathBuf,
    /// The listeners, and who can reach them.
    pub api: ApiConfig,
    /// How much callers can use.
    pub limits: LimitsConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// The keys that seal credentials.
    pub keys: KeysConfig,
    /// The sources of datasets.
    pub datasets: DatasetsConfig,
    /// The directory with more connection types.
    pub catalog_dir: Option<PathBuf>,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// How long the audit log is kept.
    pub retention: RetentionConfig,
    /// Where deliveries can be written.
    pub deliveries: DeliveriesConfig,
    /// Where the rules of time zones come from.
    pub time_zone_data: TimeZoneData,
    /// Whether and how this replica runs exports.
    pub runs: RunsConfig,
    /// What outbound connections may reach and trust.
    pub outbound: OutboundConfig,
    /// What commands that call a server authenticate with.
    pub client: ClientConfig,
}

impl Config {
    /// Parses settings. Settings that do not go together are an error.
    pub fn parse(values: &Values) -> Result<Self, ConfigError> {
        let data_dir: PathBuf = values.require("data_dir")?;
        let database = DatabaseConfig::parse(values, &data_dir)?;
        let api = ApiConfig::parse(values, &data_dir)?;
        Ok(Self {
            limits: LimitsConfig::parse(values, &api)?,
            api,
            keys: KeysConfig::parse(values, &data_dir, &database)?,
            deliveries: DeliveriesConfig::parse(values, &data_dir, &database)?,
            datasets: DatasetsConfig::parse(values, &data_dir, &database)?,
            database,
            data_dir,
            catalog_dir: values.get("catalog_dir")?,
            telemetry: TelemetryConfig::parse(values)?,
            retention: RetentionConfig::parse(values)?,
            time_zone_data: TimeZoneData::parse(values)?,
            runs: RunsConfig::parse(values)?,
            outbound: OutboundConfig::parse(values)?,
            client: ClientConfig::parse(values)?,
        })
    }
}
