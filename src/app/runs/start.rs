//! RunExport and BatchRunExports: start runs now.

use uuid::Uuid;

use super::stored;
use crate::app::{Affected, App, Mutation, MutationTx, ReadBack, exports};
use crate::catalog::DeliveredBy;
use crate::model::{
    Attachment, AttachmentState, Availability, CannotRun, Error, Export, Precondition, ResourceId, Result, Run,
    RunState, RunStats, RunTrigger, limits,
};
use crate::store;

/// Starts a run of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunExport {
    /// Id of the export.
    pub id: ResourceId,
}

/// Starts runs of many exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRunExports {
    /// The exports to run.
    pub target: RunTarget,
}

/// Which exports to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunTarget {
    /// Named exports, all or none.
    Names(Vec<ResourceId>),
    /// All exports with a schedule that is on and that the caller manages. Those that cannot run are left out.
    AllScheduled,
}

/// The runs of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRuns {
    /// In the order of the request.
    pub runs: Vec<Run>,
    /// Names of the exports that cannot run.
    pub skipped: Vec<String>,
    /// On every audit event of the batch.
    pub batch_id: Option<Uuid>,
}

impl Mutation for RunExport {
    type Response = Run;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let ids = std::slice::from_ref(&self.id);
        let export = exports::single(exports::lock_managed(tx, ids, None).await?, "")?;
        let run = start(tx, &export, None).await?;
        Ok(Affected::one(run.name.uid, &run.name))
    }
}

impl Mutation for BatchRunExports {
    type Response = BatchRuns;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let ids = match &self.target {
            RunTarget::Names(ids) => ids.clone(),
            RunTarget::AllScheduled => scheduled(tx).await?,
        };
        let mut affected = Affected { batch_id: Some(Uuid::now_v7()), ..Affected::default() };
        for export in exports::lock_managed(tx, &ids, None).await? {
            match start(tx, &export, affected.batch_id).await {
                Ok(run) => affected.resources.push((run.name.uid, run.name.to_string())),
                Err(Error::Precondition(cause))
                    if matches!(*cause, Precondition::CannotRun(_)) && self.target == RunTarget::AllScheduled =>
                {
                    affected.skipped.push(export.name.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(affected)
    }
}

impl ReadBack for BatchRuns {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        let uids: Vec<_> = affected.resources.iter().map(|(uid, _)| *uid).collect();
        let mut runs = store::runs::get_many(tx.db, &tx.scope, &uids).await?;
        runs.sort_by_key(|run| uids.iter().position(|uid| *uid == run.name.uid));
        Ok(Self { runs, skipped: affected.skipped.clone(), batch_id: affected.batch_id })
    }
}

/// The exports with a schedule that is on and that the caller manages.
async fn scheduled(tx: &MutationTx<'_>) -> Result<Vec<ResourceId>> {
    let limit = limits::MAX_BATCH_NAMES as u64 + 1;
    let ids = store::exports::scheduled_ids(tx.db, &tx.scope, &tx.context.actor, limit).await?;
    if ids.len() > limits::MAX_BATCH_NAMES {
        let description = format!("selects more than {} exports; name them", limits::MAX_BATCH_NAMES);
        return Err(Error::invalid("all_scheduled", description));
    }
    Ok(ids)
}

/// Queues a run of a locked export that can run and has no unfinished run.
async fn start(tx: &mut MutationTx<'_>, export: &Export, batch_id: Option<Uuid>) -> Result<Run> {
    let attachment = check_can_run(tx.app, export)?;
    if let Some(unfinished) = store::runs::unfinished(tx.db, &tx.scope, export.uid).await?.first() {
        return Err(CannotRun::RunInProgress { run: unfinished.name.to_string() }.into());
    }
    let run = Run {
        name: stored::name(export, Uuid::now_v7()),
        export: export.uid,
        export_display_name: export.display_name.clone(),
        state: RunState::Queued,
        trigger: RunTrigger::Manual,
        skip_reason: None,
        due_count: 0,
        principal: tx.context.actor.principal(),
        schedule_time: None,
        last_schedule_time: None,
        create_time: tx.now,
        start_time: None,
        end_time: None,
        connection: attachment.uid,
        connection_name: attachment.name.clone(),
        connection_type: export.connection_type.clone(),
        export_revision: export.revision,
        attempt: 0,
        next_attempt_time: Some(tx.now),
        stats: RunStats::default(),
        failure: None,
        trace_parent: tx.context.trace_parent.clone(),
    };
    if !store::runs::insert(tx.db, &run).await? {
        return Err(Error::internal("a run was not inserted, although its export is locked"));
    }
    stored::audit(tx, &run, "state", batch_id);
    Ok(run)
}

/// The connection of an export that can run, or why it cannot.
fn check_can_run<'a>(app: &App, export: &'a Export) -> Result<&'a Attachment> {
    let name = export.name.to_string();
    let attachment = match &export.attachment_state {
        AttachmentState::Attached(attachment) => attachment,
        AttachmentState::Detached(_) => return Err(CannotRun::ExportInactive { export: name }.into()),
    };
    match attachment.availability {
        Availability::Active => {}
        Availability::Suspended => return Err(CannotRun::ConnectionSuspended { export: name }.into()),
        Availability::CredentialMissing | Availability::CredentialExpired | Availability::TypeUnknown => {
            return Err(CannotRun::CredentialRequired { export: name }.into());
        }
    }
    let known = app.connection_type(&export.connection_type);
    if known.is_none_or(|known| known.delivered_by != DeliveredBy::BuiltIn) {
        return Err(CannotRun::NoRunner { connection_type: export.connection_type.name() }.into());
    }
    Ok(attachment)
}
