//! Ends the leases of replicas that no longer renew them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::leases::release;
use super::outcome::end_attempt;
use crate::app::App;
use crate::background::{Task, TaskError};
use crate::model::{Availability, Result, RunEvent, SkipReason};
use crate::store::runs::changes::{self, AttemptEnd};
use crate::store::runs::leases::{self, ExpiredLease};
use crate::store::{self, Scope, Store, Transaction};

/// The time between two searches for expired leases.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Leases per transaction.
const MAX_LEASES: u64 = 50;

/// Ends the leases of replicas that no longer renew them, and skips queued runs whose connection became unavailable without
/// a change, by the expiry of its credential.
pub struct LeaseKeeper {
    app: App,
}

impl LeaseKeeper {
    /// Keeps the leases of all replicas on the database of an application.
    pub fn new(app: App) -> Self {
        Self { app }
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
        let store = self.app.store();
        let ended = store.transact_in_background(
            Instant::now() + TIMEOUT,
            Arc::new(store.clone()),
            |db, store: &Arc<Store>| Box::pin(end_leases(db, store)),
        );
        for (lease, end) in ended.await? {
            end_attempt(&self.app, lease.organization, lease.export, lease.attempt, end).await;
        }
        Ok(())
    }
}

/// Queues runs again whose leases expired. Returns the leases of those that fail instead. A failure also changes the export,
/// which has to be locked before the run.
async fn end_leases(db: &Transaction, store: &Store) -> Result<Vec<(ExpiredLease, AttemptEnd)>> {
    let read_context = store.read_context();
    let now = store::database_time(db, read_context).await?;
    let expired = leases::expired(db, read_context, MAX_LEASES).await?;
    if !expired.is_empty() {
        tracing::warn!(runs = expired.len(), "leases were not renewed");
    }
    let mut failed = Vec::new();
    for lease in expired {
        let end = release(lease.releases, None);
        if end.event == RunEvent::Fail {
            failed.push((lease, end));
            continue;
        }
        let scope = Scope { organization: &lease.organization, read_context };
        changes::end_attempt(db, &scope, lease.attempt, &end, now).await?;
    }
    for run in leases::blocked(db, read_context, MAX_LEASES).await? {
        let scope = Scope { organization: &run.organization, read_context };
        if let Some(reason) = reason(run.availability) {
            changes::skip(db, &scope, run.uid, reason, now).await?;
        }
    }
    Ok(failed)
}

fn reason(availability: Availability) -> Option<SkipReason> {
    match availability {
        Availability::Active => None,
        Availability::Suspended => Some(SkipReason::ConnectionSuspended),
        Availability::CredentialMissing | Availability::TypeUnknown => Some(SkipReason::CredentialRequired),
        Availability::CredentialExpired => Some(SkipReason::CredentialExpired),
    }
}
