//! The built-in runner: delivers leased runs, each in a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use super::active::{ActiveRun, ActiveRuns};
use super::attempt::{ABORT_TIMEOUT, Attempt, AttemptError};
use super::leased::{self, LeaseTerms, LeasedRun};
use super::leases::LeaseRenewal;
use super::outcome;
use super::pin_payload::pin_payload;
use super::settings::RunSettings;
use crate::app::App;
use crate::delivery::DeliveryParts;
use crate::model::{Error, OrganizationId, Result, Run};
use crate::store::Store;
use crate::store::runs::changes;
use crate::vault::Vault;

/// Delivers leased runs. Cheap to clone.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    app: App,
    store: Store,
    vault: Arc<Vault>,
    parts: DeliveryParts,
    settings: RunSettings,
    owner: Uuid,
    active: ActiveRuns,
    tasks: TaskTracker,
    span: fn(&Run) -> Span,
}

/// What a runner needs besides the application.
pub struct RunnerParts {
    /// How runs are executed.
    pub settings: RunSettings,
    /// Tracks the tasks of runs.
    pub tasks: TaskTracker,
    /// Creates the span of an attempt.
    pub span: fn(&Run) -> Span,
}

impl Runner {
    /// A runner with a new identity, without runs.
    pub fn new(app: App, parts: RunnerParts) -> Self {
        let RunnerParts { settings, tasks, span } = parts;
        let (vault, delivery) = (Arc::clone(app.vault()), app.delivery().clone());
        let (store, active) = (app.store().clone(), ActiveRuns::default());
        let owner = Uuid::new_v4();
        Self(Arc::new(Inner { app, store, vault, parts: delivery, settings, owner, active, tasks, span }))
    }

    /// The settings.
    pub fn settings(&self) -> &RunSettings {
        &self.0.settings
    }

    /// Identifies this replica in leases.
    pub fn owner(&self) -> Uuid {
        self.0.owner
    }

    /// The runs that are being delivered.
    pub fn active(&self) -> &ActiveRuns {
        &self.0.active
    }

    /// Leases a run of an organization, if one may start, and starts its delivery. Returns whether one was leased. The lease
    /// and the start are not interrupted if the future is dropped: a leased run always has a delivery, or its lease is given
    /// back.
    pub async fn lease(&self, organization: OrganizationId, terms: &Arc<LeaseTerms>) -> Result<bool> {
        // The server waits for the token, and so for a lease that is begun before it stops.
        let _token = self.0.tasks.token();
        if self.0.active.is_stopping() {
            return Ok(false);
        }
        let (runner, terms) = (self.clone(), Arc::clone(terms));
        let leasing = self.0.tasks.spawn(async move {
            let begun = Instant::now();
            let Some(leased) = leased::lease(&runner.0.store, organization, &terms).await? else { return Ok(false) };
            runner.start(leased, begun);
            Ok(true)
        });
        leasing.await.map_err(Error::internal)?
    }

    /// Starts the delivery of a run that was leased after the instant `begun`.
    fn start(&self, leased: LeasedRun, begun: Instant) {
        let name = &leased.run.name;
        let attempt = changes::Attempt { uid: name.uid, number: leased.run.attempt };
        let active = self.0.active.add(name.organization.clone(), attempt, begun);
        let span = (self.0.span)(&leased.run);
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(async move { Box::pin(inner.deliver(leased, active)).await }.instrument(span));
    }

    /// Renews the leases, until it is dropped.
    pub async fn renew_leases(self) {
        let terms = (self.0.settings.lease, self.0.settings.heartbeat);
        LeaseRenewal::new(self.0.store.clone(), self.0.active.clone(), self.0.owner, terms).run().await;
    }

    /// How long [`Self::drain`] can take, with the removal of what interrupted deliveries wrote.
    pub fn max_drain(&self) -> Duration {
        self.0.settings.drain_timeout + ABORT_TIMEOUT
    }

    /// Waits until the server stops, and then for the deliveries, as long as they may go on. The others are interrupted.
    pub async fn drain(self, stop: CancellationToken) {
        stop.cancelled().await;
        let ended = async {
            while !self.0.active.is_empty() {
                self.0.active.removed().await;
            }
        };
        if tokio::time::timeout(self.0.settings.drain_timeout, ended).await.is_err() {
            tracing::info!(runs = self.0.active.len(), "interrupting deliveries; they are repeated elsewhere");
        }
        // Also the delivery of a run that is being leased.
        self.0.active.stop();
    }
}

impl Inner {
    async fn deliver(&self, mut leased: LeasedRun, active: ActiveRun) {
        let begun = Instant::now();
        let result = match pin_payload(&self.app, &mut leased).await {
            Ok(()) => Box::pin(self.attempt(&leased, &active)).await,
            Err(error) => Err(AttemptError::Failed(error)),
        };
        let stats = active.counts.stats();
        let end = outcome::attempt_end(&result, &leased, stats, &self.settings);
        log(&leased, &result, begun.elapsed());
        if matches!(result, Err(AttemptError::TimedOut | AttemptError::Failed(_))) {
            tracing::Span::current().record("otel.status_code", "ERROR");
        }
        outcome::save_attempt_end(&self.app, &leased, end).await;
        outcome::count(&leased, &result, &stats, begun.elapsed());
    }

    async fn attempt(&self, leased: &LeasedRun, active: &ActiveRun) -> Result<(), AttemptError> {
        let attempt = Attempt {
            store: &self.store,
            vault: &self.vault,
            parts: &self.parts,
            leased,
            active,
            owner: self.owner,
            lease: self.settings.lease,
            deadline: Instant::now() + self.settings.max_duration.saturating_sub(leased.elapsed),
        };
        Box::pin(attempt.run()).await
    }
}

/// Logs the end of an attempt. The detail of a failure is for operators.
fn log(leased: &LeasedRun, result: &Result<(), AttemptError>, duration: Duration) {
    let (run, attempt) = (&leased.run.name, leased.run.attempt);
    let destination = leased.run.connection_type.as_str();
    match result {
        Ok(()) => tracing::info!(%run, attempt, destination, ?duration, "delivered a run"),
        Err(error) => {
            tracing::warn!(%run, attempt, destination, ?duration, %error, "an attempt of a run did not succeed");
        }
    }
}
