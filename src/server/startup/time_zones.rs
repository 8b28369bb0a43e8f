//! The rules of time zones.

use crate::config::TimeZoneData;
use crate::model::schedule::TimeZones;
use crate::server::error::StartError;

/// Opens the rules that the configuration names.
pub fn open(data: &TimeZoneData) -> Result<TimeZones, StartError> {
    match data {
        TimeZoneData::Bundled => Ok(TimeZones::bundled()),
        TimeZoneData::Directory(directory) => {
            TimeZones::from_directory(directory).map_err(|error| StartError::TimeZones(directory.clone(), error))
        }
    }
}
