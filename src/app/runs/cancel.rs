//! Implements CancelExportRun.

use super::stored;
use crate::app::{Affected, Mutation, MutationTx, exports};
use crate::model::{Abort, Error, Result, Role, Run, RunName};
use crate::store;

/// Cancels a run. Cancelling one that has ended succeeds and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelExportRun {
    /// Name of the run.
    pub name: RunName,
}

impl Mutation for CancelExportRun {
    type Response = Run;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let named = stored::named(store::runs::get(tx.db, &tx.scope, self.name.uid).await?, &self.name)?;
        match &named.name.export {
            Some(export) => drop(exports::lock_managed(tx, std::slice::from_ref(export), None).await?),
            // The export was deleted, so it has no manager.
            None if tx.context.actor.has(Role::Admin) => {}
            None => return Err(Error::not_permitted(&self.name)),
        }
        store::runs::lock(tx.db, &tx.scope, self.name.uid).await?;
        let run = store::runs::get(tx.db, &tx.scope, self.name.uid).await?;
        let run = run.filter(|run| run.name == named.name).ok_or(Abort::Conflict)?;
        if !run.state.is_final() {
            store::runs::changes::cancel(tx.db, &tx.scope, run.name.uid, tx.now).await?;
            stored::audit(tx, &run, "cancelled", None);
        }
        Ok(Affected::one(run.name.uid, &run.name))
    }
}
