//! The runs that this replica delivers at the moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::delivery::Manifest;
use crate::delivery::engine::Progress;
use crate::model::{OrganizationId, RunStats};
use crate::store::runs::changes::Attempt;
use crate::store::runs::leases::Renewal;

/// Why an attempt is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The run was cancelled.
    Cancelled,
    /// The lease was lost, or could not be renewed in time.
    LeaseLost,
    /// The server stops.
    Stopping,
}

/// The active runs of a replica. Clones share them.
#[derive(Clone, Default)]
pub struct ActiveRuns(Arc<Inner>);

#[derive(Default)]
struct Inner {
    runs: Mutex<Runs>,
    changed: Notify,
}

#[derive(Default)]
struct Runs {
    /// An attempt may still remove what it wrote when the next one begins.
    entries: HashMap<Attempt, Entry>,
    /// Whether the server stops, so that a run that is added is interrupted at once.
    stopping: bool,
}

struct Entry {
    organization: OrganizationId,
    counts: Arc<Counts>,
    /// When its lease was renewed last.
    renewed: Arc<Mutex<Instant>>,
    interruption: Option<Interruption>,
    token: CancellationToken,
    lost: CancellationToken,
}

/// The counts of an attempt.
#[derive(Default)]
pub struct Counts {
    /// What the engine counts.
    pub progress: Arc<Progress>,
    /// Complete files.
    pub files: AtomicU64,
    /// Rows that the datasets have; `u64::MAX` if that is not known.
    pub rows_estimated: AtomicU64,
}

/// An active run; it is removed when this is dropped.
pub struct ActiveRun {
    runs: ActiveRuns,
    attempt: Attempt,
    /// The counts.
    pub counts: Arc<Counts>,
    renewed: Arc<Mutex<Instant>>,
    token: CancellationToken,
    lost: CancellationToken,
}

impl ActiveRuns {
    /// Adds a run that was leased after the instant `leased`. After [`Self::stop`] it is interrupted at once.
    pub fn add(&self, organization: OrganizationId, attempt: Attempt, leased: Instant) -> ActiveRun {
        let (counts, token, lost) = (Arc::new(Counts::default()), CancellationToken::new(), CancellationToken::new());
        let renewed = Arc::new(Mutex::new(leased));
        counts.rows_estimated.store(u64::MAX, Ordering::Relaxed);
        let mut entry = Entry {
            organization,
            counts: Arc::clone(&counts),
            renewed: Arc::clone(&renewed),
            interruption: None,
            token: token.clone(),
            lost: lost.clone(),
        };
        let mut runs = self.0.runs.lock();
        if runs.stopping {
            entry.interrupt(Interruption::Stopping);
        }
        runs.entries.insert(attempt, entry);
        drop(runs);
        ActiveRun { runs: self.clone(), attempt, counts, renewed, token, lost }
    }

    /// How many runs are active.
    pub fn len(&self) -> usize {
        self.0.runs.lock().entries.len()
    }

    /// How many runs of an organization are active.
    pub fn count(&self, organization: &OrganizationId) -> usize {
        self.0.runs.lock().entries.values().filter(|entry| entry.organization == *organization).count()
    }

    /// Whether no run is active.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The leases to renew, with the counts so far.
    pub fn renewals(&self) -> Vec<Renewal> {
        let runs = self.0.runs.lock();
        let renewal = |(attempt, entry): (&Attempt, &Entry)| Renewal {
            organization: entry.organization.clone(),
            attempt: *attempt,
            stats: entry.counts.stats(),
        };
        runs.entries.iter().map(renewal).collect()
    }

    /// Notes that the lease of an attempt was renewed after the instant `begun`.
    pub fn renewed(&self, attempt: Attempt, begun: Instant) {
        if let Some(entry) = self.0.runs.lock().entries.get(&attempt) {
            *entry.renewed.lock() = begun;
        }
    }

    /// Interrupts an attempt. The first reason counts.
    pub fn interrupt(&self, attempt: Attempt, reason: Interruption) {
        if let Some(entry) = self.0.runs.lock().entries.get_mut(&attempt) {
            entry.interrupt(reason);
        }
    }

    /// Interrupts all runs.
    pub fn interrupt_all(&self, reason: Interruption) {
        for entry in self.0.runs.lock().entries.values_mut() {
            entry.interrupt(reason);
        }
    }

    /// Interrupts all runs because the server stops, and those that are added later.
    pub fn stop(&self) {
        self.0.runs.lock().stopping = true;
        self.interrupt_all(Interruption::Stopping);
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.0.runs.lock().stopping
    }

    /// Resolves when a run has been removed.
    pub async fn removed(&self) {
        self.0.changed.notified().await;
    }
}

impl Entry {
    /// Interrupts the run. The first reason counts.
    fn interrupt(&mut self, reason: Interruption) {
        self.interruption.get_or_insert(reason);
        self.token.cancel();
        if reason == Interruption::LeaseLost {
            self.lost.cancel();
        }
    }
}

impl Counts {
    /// Sets the counts to those of a result that is there already: of its manifest, and of the attempt that delivered it,
    /// which stored its counts before it made the result visible.
    pub fn set_delivered(&self, manifest: Option<&Manifest>, earlier: &RunStats) {
        let RunStats { rows_read, mut rows_written, mut bytes_written, mut files, rows_estimated: _ } = *earlier;
        if let Some(manifest) = manifest {
            (rows_written, bytes_written, files) = (manifest.rows, manifest.bytes, manifest.files.len() as u64);
        }
        self.progress.rows_read.store(rows_read, Ordering::Relaxed);
        self.progress.rows_written.store(rows_written, Ordering::Relaxed);
        self.progress.bytes.store(bytes_written, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn stats(&self) -> RunStats {
        let estimated = self.rows_estimated.load(Ordering::Relaxed);
        RunStats {
            rows_read: self.progress.rows_read.load(Ordering::Relaxed),
            rows_written: self.progress.rows_written.load(Ordering::Relaxed),
            bytes_written: self.progress.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
            rows_estimated: Some(estimated).filter(|estimated| *estimated != u64::MAX),
        }
    }
}

impl ActiveRun {
    /// Waits until the run is interrupted, and returns why.
    pub async fn interrupted(&self) -> Interruption {
        self.token.cancelled().await;
        let runs = self.runs.0.runs.lock();
        runs.entries.get(&self.attempt).and_then(|entry| entry.interruption).unwrap_or(Interruption::LeaseLost)
    }

    /// Notes that the lease was renewed after the instant `begun`.
    pub fn renewed(&self, begun: Instant) {
        *self.renewed.lock() = begun;
    }

    /// Whether a lease of this duration is still valid. The database renewed it after the noted instant, so another replica
    /// cannot have taken the run before.
    pub fn is_leased(&self, lease: Duration) -> bool {
        self.renewed.lock().elapsed() < lease
    }

    /// Cancelled when the lease is known to be lost, also after another interruption.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// The attempt.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Cancelled when the run is interrupted.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        self.runs.0.runs.lock().entries.remove(&self.attempt);
        self.runs.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn add_at(runs: &ActiveRuns, leased: Instant) -> ActiveRun {
        runs.add(OrganizationId::parse("acme").unwrap(), Attempt { uid: Uuid::now_v7(), number: 1 }, leased)
    }

    fn add(runs: &ActiveRuns) -> ActiveRun {
        add_at(runs, Instant::now())
    }

    #[tokio::test]
    async fn the_end_of_an_attempt_does_not_remove_the_next_one() {
        let (runs, uid) = (ActiveRuns::default(), Uuid::now_v7());
        let attempt = |number| Attempt { uid, number };
        let add = |number| runs.add(OrganizationId::parse("acme").unwrap(), attempt(number), Instant::now());
        let (first, second) = (add(1), add(2));
        runs.interrupt(attempt(1), Interruption::Cancelled);
        runs.interrupt(attempt(1), Interruption::LeaseLost);
        assert!(first.token().is_cancelled() && first.lost().is_cancelled() && !second.token().is_cancelled());
        assert_eq!(first.interrupted().await, Interruption::Cancelled);
        drop(first);
        let left: Vec<_> = runs.renewals().into_iter().map(|renewal| renewal.attempt).collect();
        assert_eq!(left, [attempt(2)]);
        runs.interrupt(attempt(2), Interruption::Stopping);
        assert_eq!(second.interrupted().await, Interruption::Stopping);
        assert!(!second.lost().is_cancelled());
    }

    #[tokio::test]
    async fn a_stop_interrupts_runs_that_are_active_and_those_that_are_added_later() {
        let runs = ActiveRuns::default();
        let active = add(&runs);
        assert!(!runs.is_stopping() && !active.token().is_cancelled());
        runs.stop();
        assert_eq!(active.interrupted().await, Interruption::Stopping);
        assert_eq!(add(&runs).interrupted().await, Interruption::Stopping);
    }

    #[test]
    fn a_lease_is_valid_for_its_duration_after_the_last_renewal() {
        let runs = ActiveRuns::default();
        let lease = Duration::from_secs(30);
        let expired = Instant::now().checked_sub(lease).unwrap();
        let active = add_at(&runs, expired);
        assert!(!active.is_leased(lease));
        runs.renewed(active.attempt(), Instant::now());
        assert!(active.is_leased(lease));
        active.renewed(expired);
        assert!(!active.is_leased(lease));
    }
}
