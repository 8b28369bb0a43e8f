//! Schedules: stored form, validation and evaluation.
//!
//! Pure functions: the current time and the creation time of the export are parameters, so that results are
//! reproducible.
//!
//! [`Schedule`] is the stored form. A [`ScheduleCompiler`] validates it and compiles it into an [`Evaluator`], which
//! computes its occurrences.
//!
//! A cron expression is evaluated in the wall time of its zone; each matching wall time is then mapped to instants by
//! the policies [`SkippedTime`] and [`RepeatedTime`]. Wall times that map to the same instant are one occurrence, and
//! occurrences are strictly ascending.

mod check;
mod compiler;
mod cron;
mod data;
mod due;
mod evaluator;
mod expression;
#[cfg(test)]
mod tests;
mod zone;

pub use check::{HORIZON_YEARS, MAX_CATCHUP_WINDOW, MAX_EVERY, MAX_JITTER, MAX_PAUSE_AFTER_FAILURES, MIN_EVERY};
pub use compiler::ScheduleCompiler;
pub use data::{OverlapPolicy, RepeatedTime, Schedule, SkippedTime, Timing};
pub use due::{MAX_COUNTED, MissedDueTimes, PassedDueTimes};
pub use evaluator::{Evaluator, NextRun, Occurrence, Shift};
pub use expression::MAX_EXPRESSION_CHARS;
pub use zone::TimeZones;
