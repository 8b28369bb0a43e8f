//! The stored form of a schedule.
//!
//! It keeps what was written, defaults included only where nothing was: what a user reads back is what the user wrote.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// When an export is due, as it was written.
///
/// Serialised durations are whole microseconds (an integer), times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// What the occurrences are computed from.
    pub timing: Timing,
    /// Whether the export runs by it; an absent value is off.
    #[serde(default)]
    pub enabled: bool,
    /// No occurrence is earlier than this (inclusive, on nominal times, before jitter).
    #[serde(default)]
    pub start_time: Option<DateTime<Utc>>,
    /// No occurrence is at or after this (exclusive, on nominal times, before jitter).
    #[serde(default)]
    pub end_time: Option<DateTime<Utc>>,
    /// Runs start up to this much (exclusive) after their nominal time, to spread load.
    #[serde(default, with = "optional_micros")]
    pub jitter: Option<Duration>,
    /// What happens to an occurrence while the run before it still goes on.
    #[serde(default)]
    pub overlap_policy: OverlapPolicy,
    /// How far back a missed occurrence is still caught up; absent: 1 hour.
    #[serde(default, with = "optional_micros")]
    pub catchup_window: Option<Duration>,
    /// The schedule pauses after this many failed runs in a row; absent: never.
    #[serde(default)]
    pub pause_after_failures: Option<u32>,
}

/// What the occurrences of a schedule are computed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Wall times in a zone that match an expression.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week. Kept exactly as written.
        expression: String,
        /// IANA name of the zone whose wall clock counts.
        time_zone: String,
        /// What becomes of a wall time that a day does not have.
        #[serde(default)]
        skipped_time: SkippedTime,
        /// What becomes of a wall time that a day has twice.
        #[serde(default)]
        repeated_time: RepeatedTime,
    },
    /// Instants at a fixed distance, whatever the wall clock says.
    Interval {
        /// The distance.
        #[serde(with = "micros")]
        every: Duration,
        /// An instant of the grid, which reaches to both sides of it; absent: the creation of the export.
        #[serde(default)]
        anchor: Option<DateTime<Utc>>,
    },
}

/// What becomes of a wall time in a gap (clocks going forward).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkippedTime {
    /// It runs at the first instant after the gap.
    #[default]
    RunAtNextValidTime,
    /// It does not run.
    Skip,
}

/// What becomes of a wall time that occurs twice (clocks going back).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatedTime {
    /// It runs at the earlier instant.
    #[default]
    RunFirst,
    /// It runs at both.
    RunBoth,
}

/// What happens to an occurrence while the run before it still goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It is left out.
    #[default]
    Skip,
    /// One waits; further ones are left out.
    BufferOne,
}

/// A duration as an integer of microseconds; a part below a microsecond is an error, never lost in silence.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, ser::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = u64::try_from(value.as_micros()).map_err(S::Error::custom)?;
        if Duration::from_micros(micros) != *value {
            return Err(S::Error::custom("a duration is not in whole microseconds"));
        }
        serializer.serialize_u64(micros)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// The same for a duration that may be absent.
mod optional_micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    // The signature is serde's: a field's serializer is given a reference to the field.
    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::micros::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let micros = Option::<u64>::deserialize(deserializer)?;
        Ok(micros.map(Duration::from_micros))
    }
}
