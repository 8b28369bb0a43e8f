//! The rules of time zones.

use std::fs;
use std::path::Path;

use jiff::tz::TimeZoneDatabase;

use crate::config::TimeZoneData;
use crate::model::schedule::TimeZones;
use crate::server::error::StartError;

/// The release of a directory that does not state one.
const UNKNOWN: &str = "unknown";

/// Opens the rules that the configuration names.
pub fn open(data: &TimeZoneData) -> Result<TimeZones, StartError> {
    let directory = match data {
        TimeZoneData::Bundled => return Ok(TimeZones::bundled()),
        TimeZoneData::Directory(directory) => directory,
    };
    let database =
        TimeZoneDatabase::from_dir(directory).map_err(|error| StartError::TimeZones(directory.clone(), error))?;
    let release = release(directory).unwrap_or_else(|| UNKNOWN.to_owned());
    let mut time_zones = TimeZones::new(&database, release);
    if time_zones.is_empty() {
        let error = jiff::Error::from_args(format_args!("the directory has no compiled time zones"));
        return Err(StartError::TimeZones(directory.clone(), error));
    }
    // Schedules may have been saved with other data. Some systems have the former names of zones in a package of their own.
    let missing = time_zones.add_bundled();
    if missing > 0 {
        tracing::info!(directory = %directory.display(), missing, "zones that the directory lacks are those of the binary");
    }
    Ok(time_zones)
}

/// The release as it is written in `+VERSION` or in the first line of `tzdata.zi`; most systems have one of these files.
fn release(directory: &Path) -> Option<String> {
    if let Ok(version) = fs::read_to_string(directory.join("+VERSION")) {
        return Some(version.lines().next()?.trim().to_owned());
    }
    let rules = fs::read_to_string(directory.join("tzdata.zi")).ok()?;
    Some(rules.lines().next()?.strip_prefix("# version ")?.to_owned())
}
