//! Implements BatchUpdateExportSchedules.

use uuid::Uuid;

use super::{BatchOutcome, settings, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::schedule::Schedule;
use crate::model::{Export, Invalid, InvalidRequest, ResourceId, Result};

/// Switches or replaces the schedules of many exports, all or none.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchUpdateExportSchedules {
    /// Ids of the exports.
    pub ids: Vec<ResourceId>,
    /// Change to their schedules.
    pub update: ScheduleUpdate,
}

/// Change to the schedules of a batch of exports.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleUpdate {
    /// Each is kept and switched on or off.
    Enabled(bool),
    /// All are replaced by this one.
    Replace(Schedule),
}

impl Mutation for BatchUpdateExportSchedules {
    type Response = BatchOutcome;

    const CHECKS_FIELDS: bool = true;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let exports = stored::lock_managed(tx, &self.ids, None).await?;
        let batch_id = Some(Uuid::now_v7());
        let affected = stored::batch_affected(&exports, batch_id);
        let mut request = InvalidRequest::default();
        for (index, before) in exports.into_iter().enumerate() {
            let Some(mut after) = self.updated(&before) else {
                let description = "has no schedule to switch on or off; set one with `schedule`";
                request.refuse(Invalid::Field, format!("names[{index}]"), description);
                continue;
            };
            if after == before {
                continue;
            }
            if request.collect(self.check(tx, &before, &after))?.is_none() {
                continue;
            }
            after.next_due_time = after.first_due_time(tx.app.schedules(), tx.now);
            stored::save(tx, &before, &mut after, batch_id).await?;
        }
        request.into_result()?;
        Ok(affected)
    }
}

impl BatchUpdateExportSchedules {
    /// The export with its new schedule; `None` if it has none to switch.
    fn updated(&self, export: &Export) -> Option<Export> {
        let mut updated = export.clone();
        updated.schedule_pause = match self.update {
            ScheduleUpdate::Enabled(false) => export.schedule_pause,
            ScheduleUpdate::Enabled(true) | ScheduleUpdate::Replace(_) => None,
        };
        match &self.update {
            ScheduleUpdate::Enabled(enabled) => updated.schedule.as_mut()?.enabled = *enabled,
            ScheduleUpdate::Replace(schedule) => updated.schedule = Some(schedule.clone()),
        }
        Some(updated)
    }

    fn check(&self, tx: &MutationTx<'_>, before: &Export, after: &Export) -> Result<()> {
        match (&self.update, &after.schedule) {
            // A schedule that is switched off may have ended long ago.
            (ScheduleUpdate::Enabled(false), _) | (_, None) => Ok(()),
            // How often it fires was checked when it was saved.
            (ScheduleUpdate::Enabled(true), Some(schedule)) => {
                tx.app.schedules().check_fires(schedule, "enabled", tx.now, after.create_time)
            }
            (ScheduleUpdate::Replace(_), Some(schedule)) => {
                settings::check_schedule(tx, after, Some(schedule), "schedule")?;
                settings::check_size(tx, after, Some(before), "schedule")
            }
        }
    }
}
