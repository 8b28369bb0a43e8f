//! The dispatcher: leases queued runs for this replica, one organization after another.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::leased::LeaseTerms;
use super::runner::Runner;
use crate::background::{Task, TaskError};
use crate::catalog::{Catalog, DeliveredBy};
use crate::model::{OrganizationId, Result};
use crate::store::Store;
use crate::store::runs::queue::{self, LeaseLimits};

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
            per_connection_type: settings.max_runs_per_connection_type,
        };
        let terms = Arc::new(LeaseTerms { owner: runner.owner(), duration: settings.lease, limits });
        let max_runs = settings.max_runs as usize;
        Self { store, runner, terms, max_runs, queued, last: Mutex::default() }
    }

    /// Leases at most one run of each organization that has queued runs. Returns how many were leased.
    async fn dispatch_round(&self) -> Result<usize> {
        let organizations = self.next_organizations().await?;
        let share = share(self.max_runs, organizations.len() == 1);
        let mut leased = 0;
        for organization in organizations {
            let active = self.runner.active();
            if active.len() >= self.max_runs {
                break;
            }
            // After an error, the next round begins with another organization.
            organization.as_str().clone_into(&mut self.last.lock());
            if active.count(&organization) < share && self.runner.lease(organization, &self.terms).await? {
                leased += 1;
            }
        }
        Ok(leased)
    }

    /// Organizations with queued runs: first those after the one that was asked last, then the others.
    async fn next_organizations(&self) -> Result<Vec<OrganizationId>> {
        let last = self.last.lock().clone();
        let (reader, read_context) = (self.store.background_reader(), self.store.read_context());
        let mut found = queue::organizations_with_queued(&reader, read_context, &last, MAX_ORGANIZATIONS).await?;
        if (found.len() as u64) < MAX_ORGANIZATIONS {
            let others = queue::organizations_with_queued(&reader, read_context, "", MAX_ORGANIZATIONS).await?;
            found.extend(others.into_iter().take_while(|other| other.as_str() <= last.as_str()));
        }
        Ok(found)
    }
}

/// How many of a replica's runs one organization may have: a quarter while others wait, and else three quarters, so that a
/// run of another one finds room.
fn share(max_runs: usize, is_alone: bool) -> usize {
    let quarter = max_runs / 4;
    if is_alone { max_runs - quarter } else { quarter.max(1) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_leaves_room_for_others() {
        for (max_runs, alone, beside_others) in [(1, 1, 1), (2, 2, 1), (4, 3, 1), (8, 6, 2), (100, 75, 25)] {
            assert_eq!((share(max_runs, true), share(max_runs, false)), (alone, beside_others), "{max_runs}");
        }
    }
}
