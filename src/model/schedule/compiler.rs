//! Compiles schedules into evaluators.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use moka::sync::Cache;

use super::cron::Cron;
use super::data::{RepeatedTime, Schedule, SkippedTime, Timing};
use super::evaluator::{Evaluator, Rule};
use super::expression;
use super::zone::TimeZones;
use crate::model::{Error, Result};

/// Maximum number of parsed expressions that are kept. Many schedules have the same expression.
const CACHE_CAPACITY: u64 = 10_000;

/// Compiles and validates schedules, with the rules of one release of the time zones.
#[derive(Clone, Debug)]
pub struct ScheduleCompiler {
    time_zones: TimeZones,
    /// Parsed expressions by their text.
    expressions: Cache<String, Arc<Cron>>,
}

impl ScheduleCompiler {
    /// Creates a compiler with these time zones.
    pub fn new(time_zones: TimeZones) -> Self {
        Self { time_zones, expressions: Cache::new(CACHE_CAPACITY) }
    }

    /// The time zones.
    pub fn time_zones(&self) -> &TimeZones {
        &self.time_zones
    }

    /// Compiles a schedule that passed [`Self::check`]; `creation`, the creation time of the export, is the default anchor
    /// of an interval.
    ///
    /// # Errors
    ///
    /// `Error::Internal` if the schedule is invalid: an expression that does not parse, an unknown time zone.
    pub fn compile(&self, schedule: &Schedule, creation: DateTime<Utc>) -> Result<Evaluator> {
        let rule = match &schedule.timing {
            Timing::Cron { expression, time_zone, skipped_time, repeated_time } => {
                let cron = self
                    .cron(expression)
                    .map_err(|problems| Error::internal(format!("cron expression: {}", problems.join("; "))))?;
                let zone = self.time_zones.get(time_zone);
                let zone = zone.ok_or_else(|| Error::internal(format!("unknown time zone {time_zone}")))?;
                let (default_skipped, default_repeated) = default_policies(&cron);
                let skipped = skipped_time.unwrap_or(default_skipped);
                let repeated = repeated_time.unwrap_or(default_repeated);
                Rule::Cron { cron, zone, skipped, repeated }
            }
            Timing::Interval { every, anchor } => Rule::Interval { every: *every, anchor: anchor.unwrap_or(creation) },
        };
        Ok(Evaluator::new(rule, schedule))
    }

    /// Parses an expression, or returns all of its problems.
    pub(super) fn cron(&self, expression: &str) -> Result<Arc<Cron>, Vec<String>> {
        if let Some(cron) = self.expressions.get(expression) {
            return Ok(cron);
        }
        let cron = Arc::new(expression::parse(expression)?);
        self.expressions.insert(expression.to_owned(), Arc::clone(&cron));
        Ok(cron)
    }
}

/// The policies of a schedule that does not specify them.
///
/// With `*` or `*/n` in the hour field, the expression is meant for elapsed time: `*/15 * * * *` runs every 15 minutes while the
/// clocks change. Otherwise it is meant for certain hours of the day, at each of which it runs once.
fn default_policies(cron: &Cron) -> (SkippedTime, RepeatedTime) {
    if cron.star_hour {
        (SkippedTime::Skip, RepeatedTime::RunBoth)
    } else {
        (SkippedTime::RunAtNextValidTime, RepeatedTime::RunFirst)
    }
}
