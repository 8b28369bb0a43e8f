//! Renews the leases of this replica, and tells what the end of a lease means.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use parking_lot::Mutex;
use uuid::Uuid;

use super::active::{ActiveRuns, Interruption};
use crate::model::{FailureCode, Result, RunEvent, RunFailure, RunState, RunStats};
use crate::store::Store;
use crate::store::runs::changes::{Attempt, AttemptEnd};
use crate::store::runs::leases::{self, Renewal};

/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a run is repeated because its lease expired or was given back. A run that always stops its replica ends after that.
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
                    if let Some((_, state)) = held.iter().find(|(attempt, _)| *attempt == renewal.attempt) {
                        self.active.renewed(renewal.attempt, begun);
                        if *state != RunState::Running {
                            self.active.interrupt(renewal.attempt, Interruption::Cancelled);
                        }
                    } else {
                        self.active.interrupt(renewal.attempt, Interruption::LeaseLost);
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

/// Renews leases, and returns the attempts whose leases are still held, with the states of their runs.
pub async fn renew(
    store: &Store,
    owner: Uuid,
    lease: Duration,
    renewals: Vec<Renewal>,
) -> Result<Vec<(Attempt, RunState)>> {
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

/// The end of an attempt whose lease expired or was given back. `releases` is how often that happened to its run before.
pub fn release(releases: u32, stats: Option<RunStats>) -> AttemptEnd {
    let retry_delay = TimeDelta::zero();
    if releases < MAX_RELEASES {
        return AttemptEnd { event: RunEvent::Release, failure: None, stats, retry_delay };
    }
    let detail = format!("{} attempts lost or gave back their leases", MAX_RELEASES + 1);
    let failure = Some(RunFailure { code: FailureCode::LeaseLost, detail });
    AttemptEnd { event: RunEvent::Fail, failure, stats, retry_delay }
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
