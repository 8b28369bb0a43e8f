//! The scheduler: turns due times into runs, and skips those that cannot run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::app::App;
use crate::background::{Task, TaskError};
use crate::catalog::{Catalog, DeliveredBy};
use crate::model::schedule::{OverlapPolicy, PassedDueTimes, ScheduleCompiler};
use crate::model::{
    Actor, Attachment, Availability, Export, ExportUid, OrganizationId, Result, Run, RunName, RunState, RunStats,
    RunTrigger, SYSTEM_PREFIX, SkipReason,
};
use crate::store::runs::{self, due};
use crate::store::{self, Scope, Store, Transaction};

/// The name of the task, and of the actor.
const NAME: &str = "scheduler";
/// The time between two searches for due times.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Exports per transaction.
const MAX_EXPORTS: u64 = 50;
/// The age up to which a missed due time still runs, if the schedule does not say.
const DEFAULT_CATCHUP_WINDOW: Duration = Duration::from_hours(1);

/// Turns due times into runs.
pub struct Scheduler {
    store: Store,
    context: Arc<Context>,
    /// Notified when runs were queued.
    queued: Arc<Notify>,
}

/// What a transaction of the scheduler needs.
struct Context {
    store: Store,
    schedules: ScheduleCompiler,
    catalog: Catalog,
}

impl Scheduler {
    /// Schedules the exports of an application. `queued` is notified when runs were queued.
    pub fn new(app: &App, queued: Arc<Notify>) -> Self {
        let (store, schedules, catalog) = (app.store().clone(), app.schedules().clone(), app.catalog().clone());
        Self { store: store.clone(), context: Arc::new(Context { store, schedules, catalog }), queued }
    }

    /// Handles a batch of exports whose due time has passed. Returns whether there may be more.
    async fn schedule_batch(&self) -> Result<bool> {
        let batch = self.store.transact_in_background(
            Instant::now() + TIMEOUT,
            Arc::clone(&self.context),
            |db, context: &Arc<Context>| Box::pin(context.schedule_batch(db)),
        );
        let handled = batch.await?;
        if handled > 0 {
            self.queued.notify_one();
        }
        Ok(handled == MAX_EXPORTS)
    }
}

#[async_trait::async_trait]
impl Task for Scheduler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        while self.schedule_batch().await? {}
        Ok(())
    }
}

impl Context {
    async fn schedule_batch(&self, db: &Transaction) -> Result<u64> {
        let read_context = self.store.read_context();
        let now = store::database_time(db, read_context).await?;
        let exports = due::lock_due(db, read_context, MAX_EXPORTS).await?;
        let lag = exports.first().and_then(|first| (now - first.due_time).to_std().ok()).unwrap_or_default();
        metrics::gauge!("export.schedule.lag").set(lag.as_secs_f64());
        let mut handled = 0;
        for export in exports {
            if !db.is_within_budget() {
                return Ok(MAX_EXPORTS);
            }
            self.schedule(db, &export.organization, export.uid, now).await?;
            handled += 1;
        }
        Ok(handled)
    }

    /// Handles the passed due times of a locked export.
    async fn schedule(
        &self,
        db: &Transaction,
        organization: &OrganizationId,
        uid: ExportUid,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let scope = Scope { organization, read_context: self.store.read_context() };
        let found = store::exports::get_many(db, &scope, &Actor::System(NAME), [uid]).await?;
        let Some(export) = found.into_iter().next() else { return Ok(()) };
        let (Some(due_time), Some(attachment)) = (export.next_due_time, export.attachment()) else { return Ok(()) };
        let schedule = export.schedule.as_ref().filter(|schedule| schedule.enabled);
        let Some(schedule) = schedule else { return due::advance(db, &scope, uid, None).await };
        let evaluator = match self.schedules.compile(schedule, export.create_time) {
            Ok(evaluator) => evaluator,
            Err(error) => {
                // Its time zone was in the data of another replica, and is neither in the data of this one nor in the binary.
                tracing::error!(export = %export.name, %error, "a schedule cannot be evaluated; it does not run any more");
                return due::advance(db, &scope, uid, None).await;
            }
        };
        let window = schedule.catchup_window.unwrap_or(DEFAULT_CATCHUP_WINDOW);
        let passed = evaluator.passed_due_times(uid.0, due_time, now, window);
        let plan = Plan { scope, export: &export, attachment, now };
        match self.obstacle(&export, attachment) {
            Some(reason) => plan.skip_all(db, &passed, reason).await?,
            None => plan.queue(db, &passed, schedule.overlap_policy).await?,
        }
        let next = evaluator.next_run_due(uid.0, now).map(|run| run.next_run_time);
        due::advance(db, &scope, uid, next).await
    }

    /// Why the export cannot run.
    fn obstacle(&self, export: &Export, attachment: &Attachment) -> Option<SkipReason> {
        match attachment.availability {
            Availability::Active => {}
            Availability::Suspended => return Some(SkipReason::ConnectionSuspended),
            Availability::CredentialExpired => return Some(SkipReason::CredentialExpired),
            Availability::CredentialMissing | Availability::TypeUnknown => return Some(SkipReason::CredentialRequired),
        }
        let known = self.catalog.get(export.connection_type.as_str());
        let built_in = known.is_some_and(|known| known.delivered_by == DeliveredBy::BuiltIn);
        (!built_in).then_some(SkipReason::NoRunner)
    }
}

/// The runs that the due times of an export become.
struct Plan<'a> {
    scope: Scope<'a>,
    export: &'a Export,
    attachment: &'a Attachment,
    now: DateTime<Utc>,
}

impl Plan<'_> {
    /// Queues the run that is due, unless another run is in its way, and records the missed due times.
    async fn queue(&self, db: &Transaction, passed: &PassedDueTimes, policy: OverlapPolicy) -> Result<()> {
        if let Some(missed) = passed.missed {
            self.skip(db, SkipReason::Missed, missed.count, (missed.first, missed.last)).await?;
        }
        let Some(run) = passed.run else { return Ok(()) };
        let unfinished = runs::unfinished(db, &self.scope, self.export.uid).await?;
        let is_waiting = |run: &Run| run.state == RunState::Queued && run.attempt == 0;
        let overlaps = match policy {
            OverlapPolicy::Skip => !unfinished.is_empty(),
            OverlapPolicy::BufferOne => unfinished.iter().any(is_waiting),
        };
        if overlaps {
            return self.skip(db, SkipReason::Overlap, 1, (run.schedule_time, run.schedule_time)).await;
        }
        let trigger = if passed.is_catch_up { RunTrigger::CatchUp } else { RunTrigger::Scheduled };
        let queued =
            Run { state: RunState::Queued, trigger, next_attempt_time: Some(self.now), ..self.run(run.schedule_time) };
        if !runs::insert(db, &queued).await? {
            tracing::debug!(export = %self.export.name, "a due time has a run already");
        }
        Ok(())
    }

    /// Records that no due time runs.
    async fn skip_all(&self, db: &Transaction, passed: &PassedDueTimes, reason: SkipReason) -> Result<()> {
        let run = passed.run.map(|run| run.schedule_time);
        let (count, first, last) = match (passed.missed, run) {
            (Some(missed), run) => (missed.count + u64::from(run.is_some()), missed.first, run.unwrap_or(missed.last)),
            (None, Some(run)) => (1, run, run),
            (None, None) => return Ok(()),
        };
        self.skip(db, reason, count, (first, last)).await
    }

    async fn skip(
        &self,
        db: &Transaction,
        reason: SkipReason,
        count: u64,
        (first, last): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<()> {
        if due::extend_skipped(db, &self.scope, self.export.uid, reason, (count, last)).await? {
            return Ok(());
        }
        let skipped = Run {
            state: RunState::Skipped,
            skip_reason: Some(reason),
            due_count: count,
            last_schedule_time: Some(last),
            end_time: Some(self.now),
            ..self.run(first)
        };
        runs::insert(db, &skipped).await?;
        Ok(())
    }

    /// A run for a due time, whose state is to be set.
    fn run(&self, schedule_time: DateTime<Utc>) -> Run {
        let export = self.export;
        let name = RunName {
            organization: export.name.organization.clone(),
            export: Some(export.name.id.clone()),
            uid: Uuid::now_v7(),
        };
        Run {
            name,
            export: export.uid,
            export_display_name: export.display_name.clone(),
            state: RunState::Queued,
            trigger: RunTrigger::Scheduled,
            skip_reason: None,
            due_count: 1,
            principal: format!("{SYSTEM_PREFIX}{NAME}"),
            schedule_time: Some(schedule_time),
            last_schedule_time: None,
            create_time: self.now,
            start_time: None,
            end_time: None,
            connection: self.attachment.uid,
            connection_name: self.attachment.name.clone(),
            connection_type: export.connection_type.clone(),
            export_revision: export.revision,
            attempt: 0,
            next_attempt_time: None,
            stats: RunStats::default(),
            failure: None,
            trace_parent: None,
        }
    }
}
