//! Keeps leases: renews those of this replica, and ends those that expired.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use parking_lot::Mutex;
use uuid::Uuid;

use super::active::{ActiveRuns, Interruption};
use crate::background::{Task, TaskError};
use crate::model::{Availability, FailureCode, Result, RunEvent, RunFailure, RunState, RunStats, SkipReason};
use crate::store::runs::changes::{self, AttemptEnd};
use crate::store::runs::leases::{self, Renewal};
use crate::store::{self, Scope, Store, Transaction};

/// The time between two searches for expired leases.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Leases per transaction.
const MAX_LEASES: u64 = 50;
/// How many leases of one run may expire or be given back. A run that always stops its replica ends after that.
const MAX_RELEASES: u32 = 20;

/// Renews the leases of a replica until the replica has stopped.
pub struct LeaseRenewal {
    store: Store,
    active: ActiveRuns,
    owner: Uuid,
    lease: Duration,
    heartbeat: Duration,
    /// When the leases were renewed last.
    renewed: Mutex<Instant>,
}

impl LeaseRenewal {
    /// Renews the leases of `owner`, each for `lease`, every `heartbeat`.
    pub fn new(store: Store, active: ActiveRuns, owner: Uuid, (lease, heartbeat): (Duration, Duration)) -> Self {
        Self { store, active, owner, lease, heartbeat, renewed: Mutex::new(Instant::now()) }
    }

    /// Renews at each heartbeat.
    pub async fn run(self) {
        let mut interval = tokio::time::interval(self.heartbeat);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.renew().await;
        }
    }

    async fn renew(&self) {
        let renewals = self.active.renewals();
        if renewals.is_empty() {
            *self.renewed.lock() = Instant::now();
            return;
        }
        let begun = Instant::now();
        match renew(&self.store, self.owner, self.lease, renewals.clone()).await {
            Ok(held) => {
                *self.renewed.lock() = begun;
                for renewal in renewals {
                    if let Some((_, state)) = held.iter().find(|(uid, _)| *uid == renewal.uid) {
                        self.active.renewed(renewal.uid, begun);
                        if *state != RunState::Running {
                            self.active.interrupt(renewal.uid, Interruption::Cancelled);
                        }
                    } else {
                        metrics::counter!("export.run.lease.losses").increment(1);
                        self.active.interrupt(renewal.uid, Interruption::LeaseLost);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "failed to renew the leases of runs");
                // Others may take the runs when their leases expire.
                if self.renewed.lock().elapsed() + self.heartbeat >= self.lease {
                    self.active.interrupt_all(Interruption::LeaseLost);
                }
            }
        }
    }
}

/// Renews leases, and returns the states of the runs whose leases are still held.
pub async fn renew(
    store: &Store,
    owner: Uuid,
    lease: Duration,
    renewals: Vec<Renewal>,
) -> Result<Vec<(Uuid, RunState)>> {
    let state = (store.clone(), renewals);
    let held = store.transact_in_background(
        Instant::now() + TIMEOUT,
        state,
        move |db, (store, renewals): &(Store, Vec<Renewal>)| {
            Box::pin(leases::renew(db, store.read_context(), owner, lease, renewals))
        },
    );
    held.await
}

/// Ends the leases of replicas that no longer renew them, and skips queued runs whose connection became unavailable without
/// a change, by the expiry of its credential.
pub struct LeaseKeeper {
    store: Store,
}

impl LeaseKeeper {
    /// Keeps the leases of all replicas on a database.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait::async_trait]
impl Task for LeaseKeeper {
    fn name(&self) -> &'static str {
        "run_leases"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        let ended = self.store.transact_in_background(
            Instant::now() + TIMEOUT,
            Arc::new(self.store.clone()),
            |db, store: &Arc<Store>| Box::pin(end_leases(db, store)),
        );
        let ended = ended.await?;
        if ended > 0 {
            tracing::warn!(runs = ended, "ended leases that were not renewed");
        }
        Ok(())
    }
}

async fn end_leases(db: &Transaction, store: &Store) -> Result<usize> {
    let read_context = store.read_context();
    let now = store::database_time(db, read_context).await?;
    let expired = leases::expired(db, read_context, MAX_LEASES).await?;
    for lease in &expired {
        let scope = Scope { organization: &lease.organization, read_context };
        changes::end_attempt(db, &scope, lease.attempt, &release(lease.releases, None), now).await?;
    }
    for run in leases::blocked(db, read_context, MAX_LEASES).await? {
        let scope = Scope { organization: &run.organization, read_context };
        if let Some(reason) = reason(run.availability) {
            changes::skip(db, &scope, run.uid, reason, now).await?;
        }
    }
    Ok(expired.len())
}

/// The end of an attempt whose lease expired or is given back, after that many others of its run.
pub fn release(releases: u32, stats: Option<RunStats>) -> AttemptEnd {
    let retry_delay = TimeDelta::zero();
    if releases < MAX_RELEASES {
        return AttemptEnd { event: RunEvent::Release, failure: None, stats, retry_delay };
    }
    let detail = format!("{MAX_RELEASES} runners stopped while they delivered it");
    let failure = Some(RunFailure { code: FailureCode::LeaseLost, detail });
    AttemptEnd { event: RunEvent::Fail, failure, stats, retry_delay }
}

fn reason(availability: Availability) -> Option<SkipReason> {
    match availability {
        Availability::Active => None,
        Availability::Suspended => Some(SkipReason::ConnectionSuspended),
        Availability::CredentialMissing | Availability::TypeUnknown => Some(SkipReason::CredentialRequired),
        Availability::CredentialExpired => Some(SkipReason::CredentialExpired),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_fails_after_too_many_leases_that_were_given_up() {
        assert_eq!(release(MAX_RELEASES - 1, None).event, RunEvent::Release);
        let last = release(MAX_RELEASES, None);
        assert_eq!(
            (last.event, last.failure.map(|failure| failure.code)),
            (RunEvent::Fail, Some(FailureCode::LeaseLost))
        );
    }
}
