//! Validation of schedules.
//!
//! Schedules that never fire, or fire more often than the connection type permits, are refused when they are saved.

use std::time::Duration;

use chrono::{DateTime, Months, Utc};

use super::compiler::ScheduleCompiler;
use super::data::{Schedule, Timing};
use super::evaluator::Evaluator;
use crate::model::{Error, Invalid, Result, Violations};

/// Minimum interval: 1 second. Connection types usually require more.
pub const MIN_EVERY: Duration = Duration::from_secs(1);
/// Maximum interval: 366 days.
pub const MAX_EVERY: Duration = Duration::from_hours(8784);
/// Maximum jitter: 24 hours. It must also be shorter than the shortest distance on the wall clock.
pub const MAX_JITTER: Duration = Duration::from_hours(24);
/// Maximum catch-up window: 31 days.
pub const MAX_CATCHUP_WINDOW: Duration = Duration::from_hours(744);
/// Maximum of `pause_after_failures`.
pub const MAX_PAUSE_AFTER_FAILURES: u32 = 1_000;
/// A schedule without an occurrence within this many years never fires.
pub const HORIZON_YEARS: u32 = 5;

impl ScheduleCompiler {
    /// Validates a schedule, including how often it fires.
    ///
    /// `path` is the path of the schedule in the request, `min_interval` the minimum of the connection type, `creation`
    /// the creation time of the export. A disabled schedule is checked as well, because it can be enabled without being
    /// changed.
    ///
    /// # Errors
    ///
    /// `INVALID_FIELD` with all invalid values (or, alone, with a jitter that is not shorter than the shortest distance
    /// between two occurrences); `SCHEDULE_NEVER_FIRES` without an occurrence within [`HORIZON_YEARS`] after `now`;
    /// `SCHEDULE_TOO_FREQUENT` if two occurrences can be closer than `min_interval`.
    pub fn check(
        &self,
        schedule: &Schedule,
        path: &str,
        min_interval: Duration,
        now: DateTime<Utc>,
        creation: DateTime<Utc>,
    ) -> Result<()> {
        self.check_fields(schedule, path).into_result()?;
        let evaluator = self.compile(schedule, creation)?;
        check_fires(&evaluator, path, now)?;
        check_frequency(schedule, &evaluator, path, min_interval)
    }

    /// Checks whether a schedule that was valid when it was saved still fires after `now`.
    ///
    /// # Errors
    ///
    /// `SCHEDULE_NEVER_FIRES` without an occurrence within [`HORIZON_YEARS`]; `INVALID_FIELD` if the time zone data of
    /// this server lacks its time zone.
    pub fn check_fires(
        &self,
        schedule: &Schedule,
        path: &str,
        now: DateTime<Utc>,
        creation: DateTime<Utc>,
    ) -> Result<()> {
        if let Timing::Cron { time_zone, .. } = &schedule.timing
            && self.time_zones().get(time_zone).is_none()
        {
            return Err(Error::invalid(
                path,
                format!("needs the time zone {time_zone}, which this server does not have"),
            ));
        }
        check_fires(&self.compile(schedule, creation)?, path, now)
    }

    fn check_fields(&self, schedule: &Schedule, path: &str) -> Violations {
        let mut violations = Violations::new();
        match &schedule.timing {
            Timing::Cron { expression, time_zone, .. } => {
                for problem in self.cron(expression).err().unwrap_or_default() {
                    violations.add(format!("{path}.cron.expression"), problem);
                }
                if self.time_zones().get(time_zone).is_none() {
                    let right = "must be the IANA name of a time zone, spelled exactly, such as Europe/Berlin";
                    violations.add(format!("{path}.cron.time_zone"), right);
                }
            }
            Timing::Interval { every, .. } => {
                duration(&mut violations, format!("{path}.interval.every"), *every, MIN_EVERY, MAX_EVERY);
            }
        }
        if let (Some(start), Some(end)) = (schedule.start_time, schedule.end_time)
            && end <= start
        {
            violations.add(format!("{path}.end_time"), "must be after `start_time`");
        }
        if let Some(jitter) = schedule.jitter {
            duration(&mut violations, format!("{path}.jitter"), jitter, Duration::ZERO, MAX_JITTER);
        }
        if let Some(window) = schedule.catchup_window {
            duration(&mut violations, format!("{path}.catchup_window"), window, Duration::ZERO, MAX_CATCHUP_WINDOW);
        }
        if schedule.pause_after_failures.is_some_and(|failures| !(1..=MAX_PAUSE_AFTER_FAILURES).contains(&failures)) {
            let right = format!("must be at most {MAX_PAUSE_AFTER_FAILURES}; with 0 the schedule is never paused");
            violations.add(format!("{path}.pause_after_failures"), right);
        }
        violations
    }
}

fn check_fires(evaluator: &Evaluator, path: &str, now: DateTime<Utc>) -> Result<()> {
    let horizon = now.checked_add_months(Months::new(12 * HORIZON_YEARS)).unwrap_or(DateTime::<Utc>::MAX_UTC);
    if evaluator.next_after(now).is_some_and(|first| first.time <= horizon) {
        return Ok(());
    }
    let what = format!("has no occurrence in the next {HORIZON_YEARS} years");
    Err(Error::invalid_as(Invalid::ScheduleNeverFires, path, what))
}

fn check_frequency(schedule: &Schedule, evaluator: &Evaluator, path: &str, min_interval: Duration) -> Result<()> {
    let shortest = evaluator.shortest_distance().unwrap_or(Duration::MAX);
    if shortest < min_interval {
        let min_interval_seconds = min_interval.as_secs() + u64::from(min_interval.subsec_nanos() > 0);
        let what = format!(
            "has occurrences that are only {} s apart; the connection type requires at least {min_interval_seconds} s",
            shortest.as_secs_f64()
        );
        return Err(Error::invalid_as(Invalid::ScheduleTooFrequent { min_interval_seconds }, path, what));
    }
    // Runs stay in the order of their nominal times, except when clocks change.
    if schedule.jitter.is_some_and(|jitter| jitter >= shortest) {
        let what =
            format!("must be shorter than the shortest time between two occurrences, {} s", shortest.as_secs_f64());
        return Err(Error::invalid(format!("{path}.jitter"), what));
    }
    Ok(())
}

/// Adds a violation if the duration is out of bounds or not in whole microseconds.
fn duration(violations: &mut Violations, field: String, value: Duration, min: Duration, max: Duration) {
    if !(min..=max).contains(&value) {
        violations.add(field, format!("must be {} s to {} s", min.as_secs(), max.as_secs()));
    } else if !value.subsec_nanos().is_multiple_of(1_000) {
        violations.add(field, "must be in whole microseconds");
    }
}
