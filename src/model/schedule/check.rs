//! Validation of schedules.
//!
//! Schedules that never fire, or fire more often than the connection type permits, are refused when they are saved.

use std::time::Duration;

use chrono::{DateTime, Months, Utc};
use chrono_tz::Tz;

use super::cron::WallCron;
use super::data::{Schedule, Timing};
use super::evaluator::{Evaluator, Occurrence};
use crate::model::{Error, Invalid, Result, Violations};

/// Minimum interval: 1 second. Connection types usually require more.
pub const MIN_EVERY: Duration = Duration::from_secs(1);
/// Maximum interval: 366 days.
pub const MAX_EVERY: Duration = Duration::from_hours(8784);
/// Maximum jitter: 24 hours. It must also be shorter than the distance between any two occurrences.
pub const MAX_JITTER: Duration = Duration::from_hours(24);
/// Maximum catch-up window: 31 days.
pub const MAX_CATCHUP_WINDOW: Duration = Duration::from_hours(744);
/// Maximum of `pause_after_failures`.
pub const MAX_PAUSE_AFTER_FAILURES: u32 = 1_000;
/// Number of occurrences checked for two that are too close to each other.
pub const SCANNED_OCCURRENCES: usize = 1_000;
/// A schedule without an occurrence within this many years never fires.
pub const HORIZON_YEARS: u32 = 5;

impl Schedule {
    /// Validates the schedule, including how often it fires after `now`.
    ///
    /// `path` is the path of the schedule in the request, `min_interval` the minimum of the connection type, `creation`
    /// the creation time of the export. A disabled schedule is checked as well, because it can be enabled without being
    /// changed.
    ///
    /// # Errors
    ///
    /// `INVALID_FIELD` with all invalid values (or, alone, with a jitter that is not shorter than the shortest distance
    /// between two occurrences); `SCHEDULE_NEVER_FIRES` without an occurrence within [`HORIZON_YEARS`];
    /// `SCHEDULE_TOO_FREQUENT` if two of the next [`SCANNED_OCCURRENCES`] are closer than `min_interval`.
    pub fn check(&self, path: &str, min_interval: Duration, now: DateTime<Utc>, creation: DateTime<Utc>) -> Result<()> {
        self.check_fields(path).into_result()?;
        self.frequency(path, min_interval, now, &Evaluator::new(self, creation)?)
    }

    /// Checks whether a schedule that was valid when it was saved still fires after `now`.
    ///
    /// # Errors
    ///
    /// `SCHEDULE_NEVER_FIRES` without an occurrence within [`HORIZON_YEARS`].
    pub fn check_fires(&self, path: &str, now: DateTime<Utc>, creation: DateTime<Utc>) -> Result<()> {
        first(path, now, &mut Evaluator::new(self, creation)?.occurrences_after(now)).map(|_| ())
    }

    fn check_fields(&self, path: &str) -> Violations {
        let mut violations = Violations::new();
        match &self.timing {
            Timing::Cron { expression, time_zone, .. } => {
                for problem in WallCron::parse(expression).err().unwrap_or_default() {
                    violations.add(format!("{path}.cron.expression"), problem);
                }
                if time_zone.parse::<Tz>().is_err() {
                    let right = "must be the IANA name of a time zone, spelled exactly, such as Europe/Berlin";
                    violations.add(format!("{path}.cron.time_zone"), right);
                }
            }
            Timing::Interval { every, .. } => {
                duration(&mut violations, format!("{path}.interval.every"), *every, MIN_EVERY, MAX_EVERY);
            }
        }
        if let (Some(start), Some(end)) = (self.start_time, self.end_time)
            && end <= start
        {
            violations.add(format!("{path}.end_time"), "must be after `start_time`");
        }
        if let Some(jitter) = self.jitter {
            duration(&mut violations, format!("{path}.jitter"), jitter, Duration::ZERO, MAX_JITTER);
        }
        if let Some(window) = self.catchup_window {
            duration(&mut violations, format!("{path}.catchup_window"), window, Duration::ZERO, MAX_CATCHUP_WINDOW);
        }
        if self.pause_after_failures.is_some_and(|failures| !(1..=MAX_PAUSE_AFTER_FAILURES).contains(&failures)) {
            let right = format!("must be at most {MAX_PAUSE_AFTER_FAILURES}; with 0 the schedule is never paused");
            violations.add(format!("{path}.pause_after_failures"), right);
        }
        violations
    }

    fn frequency(&self, path: &str, min_interval: Duration, now: DateTime<Utc>, evaluator: &Evaluator) -> Result<()> {
        let mut occurrences = evaluator.occurrences_after(now).take(SCANNED_OCCURRENCES);
        let mut before = first(path, now, &mut occurrences)?;
        let mut shortest = Duration::MAX;
        for occurrence in occurrences {
            let distance = (occurrence.time - before.time).to_std().unwrap_or_default();
            if distance < min_interval {
                let min_interval_seconds = min_interval.as_secs() + u64::from(min_interval.subsec_nanos() > 0);
                let what = format!(
                    "fires at {} and again at {}; the connection type requires {min_interval_seconds} s between occurrences",
                    before.local_time.to_rfc3339(),
                    occurrence.local_time.to_rfc3339()
                );
                return Err(Error::invalid_as(Invalid::ScheduleTooFrequent { min_interval_seconds }, path, what));
            }
            shortest = shortest.min(distance);
            before = occurrence;
        }
        // A jitter shorter than every distance keeps runs in the order of their nominal times.
        if self.jitter.is_some_and(|jitter| jitter >= shortest) {
            let what =
                format!("must be shorter than the shortest time between two occurrences, {} s", shortest.as_secs_f64());
            return Err(Error::invalid(format!("{path}.jitter"), what));
        }
        Ok(())
    }
}

/// The first occurrence; an error if it is later than the horizon.
fn first(path: &str, now: DateTime<Utc>, occurrences: &mut impl Iterator<Item = Occurrence>) -> Result<Occurrence> {
    let horizon = now.checked_add_months(Months::new(12 * HORIZON_YEARS)).unwrap_or(DateTime::<Utc>::MAX_UTC);
    occurrences.next().filter(|first| first.time <= horizon).ok_or_else(|| {
        let what = format!("has no occurrence in the next {HORIZON_YEARS} years");
        Error::invalid_as(Invalid::ScheduleNeverFires, path, what)
    })
}

/// Adds a violation if the duration is out of bounds or not in whole microseconds.
fn duration(violations: &mut Violations, field: String, value: Duration, min: Duration, max: Duration) {
    if !(min..=max).contains(&value) {
        violations.add(field, format!("must be {} s to {} s", min.as_secs(), max.as_secs()));
    } else if !value.subsec_nanos().is_multiple_of(1_000) {
        violations.add(field, "must be in whole microseconds");
    }
}
