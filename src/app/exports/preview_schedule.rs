//! Implements PreviewSchedule.

use std::time::Duration;

use crate::app::App;
use crate::model::schedule::{Occurrence, Schedule};
use crate::model::{OpContext, Result};

/// The next occurrences of a schedule.
pub struct SchedulePreview {
    /// The occurrences in ascending order.
    pub occurrences: Vec<Occurrence>,
    /// The release of the time zones that they were computed with.
    pub time_zone_release: String,
}

impl App {
    /// The next `count` occurrences of a schedule, as if it were enabled.
    pub fn preview_schedule(&self, context: &OpContext, schedule: &Schedule, count: usize) -> Result<SchedulePreview> {
        let (now, schedules) = (self.now(), self.schedules());
        let checked = schedules.check(schedule, "schedule", Duration::ZERO, now, now);
        context.invalid_form.clone().finish(checked)?;
        let occurrences = schedules.compile(schedule, now)?.preview(now, count);
        Ok(SchedulePreview { occurrences, time_zone_release: schedules.time_zones().release().to_owned() })
    }
}
