//! The dispatcher: leases queued runs for this replica, one organization after another.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::leased::LeaseTerms;
use super::runner::Runner;
use crate::background::{Task, TaskError};
use crate::catalog::{Catalog, DeliveredBy};
use crate::model::Result;
use crate::store::Store;
use crate::store::runs::leases::{self, LeaseLimits};

/// The time between two searches for queued runs.
const INTERVAL: Duration = Duration::from_millis(500);
/// Organizations per search.
const MAX_ORGANIZATIONS: u64 = 50;

/// Leases queued runs and hands them to the runner.
pub struct Dispatcher {
    store: Store,
    runner: Runner,
    terms: Arc<LeaseTerms>,
    max_runs: usize,
    /// Notified when runs were queued.
    queued: Arc<Notify>,
    /// The organization that was asked for a run last.
    last: Mutex<String>,
}

impl Dispatcher {
    /// Leases runs for a runner. `queued` is notified when runs were queued.
    pub fn new(store: Store, catalog: &Catalog, runner: Runner, queued: Arc<Notify>) -> Self {
        let settings = runner.settings();
        let built_in = catalog.iter().filter(|known| known.delivered_by == DeliveredBy::BuiltIn);
        let limits = LeaseLimits {
            per_connection: built_in.map(|known| (known.id.clone(), known.max_concurrent_runs)).collect(),
            per_organization: settings.max_runs_per_organization,
        };
        let terms = Arc::new(LeaseTerms { owner: runner.owner(), duration: settings.lease, limits });
        let max_runs = settings.max_runs as usize;
        Self { store, runner, terms, max_runs, queued, last: Mutex::default() }
    }

    /// Leases at most one run of each organization that has queued runs. Returns how many were leased.
    async fn dispatch_round(&self) -> Result<usize> {
        let mut leased = 0;
        let mut after = self.last.lock().clone();
        // First the organizations after the one that was asked last, then the others.
        for until in [None, Some(after.clone())] {
            loop {
                let reader = self.store.background_reader().await?;
                let read_context = self.store.read_context();
                let found = leases::organizations_with_queued(&reader, read_context, &after, MAX_ORGANIZATIONS).await?;
                drop(reader);
                let complete = (found.len() as u64) < MAX_ORGANIZATIONS;
                for organization in found {
                    if until.as_ref().is_some_and(|until| organization.as_str() > until.as_str()) {
                        return Ok(leased);
                    }
                    if self.runner.active().len() >= self.max_runs {
                        return Ok(leased);
                    }
                    after = organization.to_string();
                    // After an error, the next round begins with another organization.
                    self.last.lock().clone_from(&after);
                    if self.runner.lease(organization, &self.terms).await? {
                        leased += 1;
                    }
                }
                if complete {
                    break;
                }
            }
            after = String::new();
        }
        Ok(leased)
    }
}

#[async_trait::async_trait]
impl Task for Dispatcher {
    fn name(&self) -> &'static str {
        "dispatcher"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        while self.runner.active().len() < self.max_runs && self.dispatch_round().await? > 0 {}
        Ok(())
    }

    async fn requested(&self) {
        tokio::select! {
            () = self.queued.notified() => {}
            () = self.runner.active().removed() => {}
        }
    }
}
