//! BatchUpdateExportSchedules and PreviewSchedule.

use uuid::Uuid;

use super::settings::CheckedSchedules;
use super::{BatchOutcome, answer_batch, batch_effect, changes, lock_managed, settings, subject, touch};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::schedule::{Evaluator, Occurrence, Schedule};
use crate::model::{Call, Mutation, ResourceId, Result, Role, Violations};
use crate::store;

/// What to do with the schedules of many exports.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleChange {
    /// Keep each and switch it on or off.
    Enabled(bool),
    /// Replace all by this one.
    Replace(Schedule),
}

struct BatchUpdate {
    ids: Vec<ResourceId>,
    change: ScheduleChange,
}

impl App {
    /// Switches or replaces the schedules of many exports, all or none.
    pub async fn batch_update_export_schedules(
        &self,
        call: &Call,
        mutation: Mutation,
        ids: Vec<ResourceId>,
        change: ScheduleChange,
    ) -> Result<BatchOutcome> {
        self.change(
            call,
            mutation,
            BatchUpdate { ids, change },
            |change, input| Box::pin(update(change, input)),
            |change, effect| Box::pin(answer_batch(change, effect)),
        )
        .await
    }

    /// The next times of a schedule, taken to be on.
    pub fn preview_schedule(&self, call: &Call, schedule: &Schedule, count: usize) -> Result<Vec<Occurrence>> {
        call.caller.require(Role::Viewer)?;
        let now = self.now();
        schedule.check("schedule", std::time::Duration::ZERO, now, now)?;
        Ok(Evaluator::new(schedule, now)?.preview(now, count))
    }
}

async fn update(change: &Change<'_>, input: &BatchUpdate) -> Result<Effect> {
    let exports = lock_managed(change, &input.ids.iter().collect::<Vec<_>>(), None).await?;
    let batch_id = Uuid::now_v7();
    let effect = batch_effect(&exports, Some(batch_id));
    let mut violations = Violations::new();
    let mut checked = CheckedSchedules::default();
    for (index, before) in exports.into_iter().enumerate() {
        let mut after = before.clone();
        match (&input.change, &mut after.schedule) {
            (ScheduleChange::Enabled(enabled), Some(schedule)) => schedule.enabled = *enabled,
            (ScheduleChange::Enabled(_), None) => {
                violations.add(format!("names[{index}]"), "has no schedule to switch: give one with `schedule`");
            }
            (ScheduleChange::Replace(schedule), present) => *present = Some(schedule.clone()),
        }
        if after == before {
            continue;
        }
        match &input.change {
            // What is switched off may have ended long ago.
            ScheduleChange::Enabled(false) => {}
            // How often it fires was checked when it was written.
            ScheduleChange::Enabled(true) => match &after.schedule {
                Some(schedule) => schedule.check_fires("enabled", change.now, after.create_time)?,
                None => continue,
            },
            ScheduleChange::Replace(_) => {
                checked.check(change, &after, "schedule")?;
                settings::check_size(&after, Some(&before), "schedule")?;
            }
        }
        after.next_due_time = after.first_due_time(change.now);
        touch(change, &mut after);
        store::exports::update(change.db, &after).await?;
        change.audit(&subject(&after), changes::between(Some(&before), Some(&after)), Some(batch_id), "");
    }
    violations.into_result()?;
    Ok(effect)
}
