//! What the end of an attempt means for its run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::active::Interruption;
use super::attempt::AttemptError;
use super::leased::LeasedRun;
use super::leases::release;
use super::settings::RunSettings;
use crate::app::App;
use crate::app::exports::PauseSchedule;
use crate::model::{
    Actor, ExportUid, FailureCode, OpContext, OrganizationId, Result, RunEvent, RunFailure, RunState, RunStats, excerpt,
};
use crate::store::runs::changes::{self, Attempt, AttemptEnd};
use crate::store::runs::due;
use crate::store::{self, Scope, Store, Transaction, locks};

/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the end of an attempt is written before its lease is left to expire.
const MAX_WRITES: u32 = 5;
/// The pause between two of these.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// The longest delay between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_hours(1);
/// Characters of a failure's detail.
const MAX_DETAIL_CHARS: usize = 1_000;
/// The name of the actor that pauses schedules.
const ACTOR: &str = "scheduler";

/// The event of the run, and the delay of the next attempt.
pub fn attempt_end(
    result: &Result<(), AttemptError>,
    leased: &LeasedRun,
    stats: RunStats,
    settings: &RunSettings,
) -> AttemptEnd {
    let end = |event, failure, retry_delay| AttemptEnd { event, failure, stats: Some(stats), retry_delay };
    let failure = |code, detail: &str| Some(RunFailure { code, detail: excerpt(detail, MAX_DETAIL_CHARS) });
    match result {
        Ok(()) => end(RunEvent::Succeed, None, TimeDelta::zero()),
        Err(AttemptError::Interrupted(Interruption::Cancelled | Interruption::LeaseLost | Interruption::Stopping)) => {
            release(leased.history.releases, Some(stats))
        }
        Err(AttemptError::TimedOut) => {
            let detail = format!("took longer than {}", humantime::format_duration(settings.max_duration));
            end(RunEvent::Fail, failure(FailureCode::TimedOut, &detail), TimeDelta::zero())
        }
        Err(AttemptError::Failed(error)) => {
            let failure = failure(error.code, &error.detail);
            if error.code.is_retryable() && leased.history.failures + 1 < settings.max_failures {
                end(RunEvent::Retry, failure, retry_delay(settings.retry_delay, leased.history.failures))
            } else {
                end(RunEvent::Fail, failure, TimeDelta::zero())
            }
        }
    }
}

/// The delay doubles with each failure, and is shortened at random by up to a half, so that runs that failed together are
/// not repeated together.
fn retry_delay(first: Duration, failures: u32) -> TimeDelta {
    let delay = first.saturating_mul(2_u32.saturating_pow(failures)).min(MAX_RETRY_DELAY);
    let delay = delay.mul_f64(1.0 - rand::random::<f64>() / 2.0);
    TimeDelta::from_std(delay).unwrap_or(TimeDelta::hours(1))
}

/// Writes the end of an attempt. If that fails, the lease expires and the run is repeated; destinations recognise a result
/// that is there already.
pub async fn save_attempt_end(app: &App, leased: &LeasedRun, end: AttemptEnd) {
    let attempt = Attempt { uid: leased.run.name.uid, number: leased.run.attempt };
    end_attempt(app, leased.run.name.organization.clone(), leased.export.uid, attempt, end).await;
}

/// Like [`save_attempt_end`], also for an attempt of another replica.
pub async fn end_attempt(
    app: &App,
    organization: OrganizationId,
    export: ExportUid,
    attempt: Attempt,
    end: AttemptEnd,
) {
    let state = Arc::new(Ending { store: app.store().clone(), organization, export, attempt, end });
    for _ in 0..MAX_WRITES {
        let written = app.store().transact_in_background(Instant::now() + TIMEOUT, Arc::clone(&state), |db, ending| {
            let ending: &Arc<Ending> = ending;
            Box::pin(ending.write(db))
        });
        match written.await {
            Ok(0) => return,
            Ok(failures) => {
                if let Err(error) = pause_schedule(app, &state, failures).await {
                    tracing::warn!(run = %attempt.uid, %error, "failed to pause a schedule after failed runs");
                }
                return;
            }
            Err(error) => {
                tracing::warn!(run = %attempt.uid, %error, "failed to write the end of an attempt");
                tokio::time::sleep(WRITE_PAUSE).await;
            }
        }
    }
}

/// State of the transaction that ends an attempt.
struct Ending {
    store: Store,
    organization: OrganizationId,
    export: ExportUid,
    attempt: Attempt,
    end: AttemptEnd,
}

impl Ending {
    /// Returns how many runs of the export in a row failed; 0 if this one did not end with a failure.
    async fn write(&self, db: &Transaction) -> Result<u32> {
        let scope = Scope { organization: &self.organization, read_context: self.store.read_context() };
        let now = store::database_time(db, scope.read_context).await?;
        locks::exports(db, &scope, &BTreeSet::from([self.export])).await?;
        let state = changes::end_attempt(db, &scope, self.attempt, &self.end, now).await?;
        let failed = match state {
            Some(RunState::Failed) => true,
            Some(RunState::Succeeded) => false,
            _ => return Ok(0),
        };
        let failures = due::count_failures(db, &scope, self.export, failed).await?;
        Ok(failures.filter(|_| failed).unwrap_or_default())
    }
}

/// Pauses the schedule of the export if it says so after that many failures.
async fn pause_schedule(app: &App, ending: &Ending, failures: u32) -> Result<()> {
    let Ending { store, organization, export, .. } = ending;
    let reader = store.background_reader();
    let scope = Scope { organization, read_context: store.read_context() };
    let export = store::exports::get_many(&reader, &scope, &Actor::System(ACTOR), [*export]).await?.into_iter().next();
    drop(reader);
    let Some(export) = export else { return Ok(()) };
    let context = OpContext::system(ACTOR, organization.clone(), Instant::now() + TIMEOUT);
    app.execute(&context, PauseSchedule { id: export.name.id, uid: export.uid, failures }).await
}

/// Counts an attempt in the metrics.
pub fn count(leased: &LeasedRun, result: &Result<(), AttemptError>, stats: &RunStats, duration: Duration) {
    let outcome = match result {
        Ok(()) => "success",
        Err(AttemptError::Interrupted(_)) => "interrupted",
        Err(AttemptError::TimedOut | AttemptError::Failed(_)) => "failure",
    };
    if matches!(result, Err(AttemptError::Interrupted(Interruption::LeaseLost))) {
        metrics::counter!("export.run.lease.losses").increment(1);
    }
    let destination = leased.run.connection_type.as_str().to_owned();
    metrics::histogram!("export.run.duration", "destination" => destination.clone(), "outcome" => outcome)
        .record(duration);
    metrics::counter!("export.run.rows", "destination" => destination.clone()).increment(stats.rows_written);
    metrics::counter!("export.run.bytes", "destination" => destination).increment(stats.bytes_written);
}
