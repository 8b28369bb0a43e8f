//! Pauses the schedule of an export after failed runs.

use super::stored;
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{Export, ExportUid, ResourceId, Result, SchedulePause};

/// Pauses the schedule of an export whose last runs failed, if its schedule says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseSchedule {
    /// Id of the export.
    pub id: ResourceId,
    /// Uid of the export: another one may have its id by now.
    pub uid: ExportUid,
    /// How many runs in a row failed.
    pub failures: u32,
}

impl Mutation for PauseSchedule {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let before = stored::lock_managed(tx, std::slice::from_ref(&self.id), None).await?;
        let before: Export = stored::single(before, "")?;
        let schedule = before.schedule.as_ref().filter(|schedule| schedule.enabled);
        let limit = schedule.and_then(|schedule| schedule.pause_after_failures);
        let is_reached = limit.is_some_and(|limit| self.failures >= limit);
        if before.uid == self.uid && before.schedule_pause.is_none() && is_reached {
            let mut after = before.clone();
            after.schedule_pause = Some(SchedulePause { time: tx.now, failures: self.failures });
            after.next_due_time = None;
            stored::save(tx, &before, &mut after, None).await?;
        }
        Ok(stored::affected(&before))
    }
}
