//! The stored form of a schedule.
//!
//! Fields keep what the author wrote; defaults apply to absent fields only.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// When an export runs, as written by its author.
///
/// Durations are serialized as whole microseconds (integers), times as RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Schedule {
    /// How the occurrences are computed.
    pub timing: Timing,
    /// Whether the export runs on this schedule; defaults to false.
    #[serde(default)]
    pub enabled: bool,
    /// No occurrence is earlier than this (inclusive, on nominal times, before jitter).
    #[serde(default)]
    pub start_time: Option<DateTime<Utc>>,
    /// No occurrence is at or after this (exclusive, on nominal times, before jitter).
    #[serde(default)]
    pub end_time: Option<DateTime<Utc>>,
    /// Maximum delay (exclusive) of a run after its nominal time, to spread load.
    #[serde(default, with = "optional_micros")]
    pub jitter: Option<Duration>,
    /// How an occurrence is handled while the previous run is still in progress.
    #[serde(default)]
    pub overlap_policy: OverlapPolicy,
    /// Maximum age of a missed occurrence that is still caught up; defaults to 1 hour.
    #[serde(default, with = "optional_micros")]
    pub catchup_window: Option<Duration>,
    /// Number of consecutive failed runs after which the schedule is paused; `None`: it is never paused.
    #[serde(default)]
    pub pause_after_failures: Option<u32>,
}

/// How the occurrences of a schedule are computed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Wall times in a time zone that match a cron expression.
    Cron {
        /// Five fields: minute, hour, day of month, month, day of week. Kept as written.
        expression: String,
        /// IANA name of the time zone.
        time_zone: String,
        /// How a wall time that a day does not have is handled; `None`: as the hour field suggests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skipped_time: Option<SkippedTime>,
        /// How a wall time that a day has twice is handled; `None`: as the hour field suggests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeated_time: Option<RepeatedTime>,
    },
    /// Instants at a fixed distance, independent of time zones.
    Interval {
        /// Distance between two occurrences.
        #[serde(with = "micros")]
        every: Duration,
        /// An instant of the grid, which extends in both directions; defaults to the creation time of the export.
        #[serde(default)]
        anchor: Option<DateTime<Utc>>,
    },
}

/// How a wall time in a gap (clocks move forward) is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkippedTime {
    /// Run at the first instant after the gap.
    RunAtNextValidTime,
    /// Do not run.
    Skip,
}

/// How a wall time that occurs twice (clocks move back) is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatedTime {
    /// Run at the earlier instant.
    RunFirst,
    /// Run at both instants.
    RunBoth,
}

/// How an occurrence is handled while the previous run is still in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// Skip the occurrence.
    #[default]
    Skip,
    /// Start one run afterwards; skip further occurrences.
    BufferOne,
}

/// A duration as an integer of microseconds; a fraction of a microsecond is an error.
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

/// The same for an optional duration.
mod optional_micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    // serde determines the signature: the serializer of a field gets a reference to the field.
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
