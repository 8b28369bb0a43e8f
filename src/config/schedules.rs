//! Schedules: where the rules of time zones come from.

use std::path::PathBuf;

use super::error::ConfigError;
use super::setting::Setting;
use super::source::Values;

/// The settings of this concern.
pub const SETTINGS: &[Setting] = &[Setting::new(
    "time_zone_data",
    "Rules of time zones: `bundled` (contained in the binary), `system` (`/usr/share/zoneinfo`), or a directory of compiled \
     files; zones that it lacks are those of the binary. `outflow version` prints the release.",
)
.default("bundled")];

/// Where the rules of time zones come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeZoneData {
    /// The binary.
    Bundled,
    /// A directory of compiled files.
    Directory(PathBuf),
}

impl TimeZoneData {
    /// Parses the setting.
    pub fn parse(values: &Values) -> Result<Self, ConfigError> {
        Ok(match values.require::<String>("time_zone_data")?.as_str() {
            "bundled" => Self::Bundled,
            "system" => Self::Directory(PathBuf::from("/usr/share/zoneinfo")),
            directory => Self::Directory(PathBuf::from(directory)),
        })
    }
}
