//! Schedules: what is stored, what is accepted, and when an export is due.
//!
//! Pure: the present and the export's creation are parameters, so that every answer can be repeated.
//!
//! [`Schedule`] is the stored form, [`Schedule::check`] says what is wrong with one, and an [`Evaluator`],
//! compiled once and kept, gives its occurrences.
//!
//! A cron expression is evaluated on the wall clock of its zone; each wall time is then mapped to instants by the two
//! policies [`SkippedTime`] and [`RepeatedTime`]. They hold for every occurrence, those of `*/15` too. Wall times that
//! map to one instant are one occurrence, and occurrences come out strictly ascending.

mod check;
mod cron;
mod data;
mod evaluator;
#[cfg(test)]
mod tests;
mod zone;

pub use check::{
    HORIZON_YEARS, MAX_CATCHUP_WINDOW, MAX_EVERY, MAX_JITTER, MAX_PAUSE_AFTER_FAILURES, MIN_EVERY, SCANNED_OCCURRENCES,
};
pub use cron::MAX_EXPRESSION_CHARS;
pub use data::{OverlapPolicy, RepeatedTime, Schedule, SkippedTime, Timing};
pub use evaluator::{Evaluator, MAX_PREVIEW, NextRun, Occurrence, Shift};
