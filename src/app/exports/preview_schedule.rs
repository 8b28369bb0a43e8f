//! Implements PreviewSchedule.

use std::time::Duration;

use crate::app::App;
use crate::model::Result;
use crate::model::schedule::{Evaluator, Occurrence, Schedule};

impl App {
    /// The next `count` occurrences of a schedule, as if it were enabled.
    pub fn preview_schedule(&self, schedule: &Schedule, count: usize) -> Result<Vec<Occurrence>> {
        let now = self.now();
        schedule.check("schedule", Duration::ZERO, now, now)?;
        Ok(Evaluator::new(schedule, now)?.preview(now, count))
    }
}
