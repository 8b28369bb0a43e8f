//! Denied attempts: counted in memory and written by a background task, so that a denied call never waits for the audit
//! log.
//!
//! They are aggregated per principal, method, code and minute; with one row per attempt, any caller could fill the
//! disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use uuid::Uuid;

use super::audit;
use crate::model::audit::{AuditDiff, AuditEvent, Outcome};
use crate::model::{Caller, Clock, Error, OpContext, OrganizationId, Result};
use crate::store::audit_events::{self, DeniedKey};
use crate::store::{Scope, Store};

/// The name of the background task that writes them.
pub const TASK: &str = "denied_attempts";
/// Maximum number of aggregates that wait to be written. Further attempts are dropped, and counted in `denied.dropped`.
const MAX_PENDING: usize = 1_000;
/// Maximum number of those of one organization.
const MAX_PENDING_PER_ORGANIZATION: usize = MAX_PENDING / 4;
/// The longest resource name that is stored.
const MAX_NAME_BYTES: usize = 200;
/// Maximum number of resource names of a row.
const MAX_NAMES: usize = 5;
/// Maximum number of rows of a transaction.
const MAX_ROWS_PER_TRANSACTION: usize = 100;
/// How long one transaction may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// One denied attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedAttempt {
    /// The caller.
    pub caller: Arc<Caller>,
    /// The method, without the leading slash of its path.
    pub method: String,
    /// The gRPC code.
    pub code: &'static str,
    /// The reason as the caller sees it.
    pub reason: String,
    /// The resource, if the refusal names one.
    pub resource: Option<String>,
    /// `x-request-id` of the call.
    pub call_id: String,
}

/// The denied attempts that were not written yet.
pub struct DeniedAttempts {
    store: Store,
    clock: Clock,
    pending: Mutex<HashMap<Key, Pending>>,
    /// Held during a flush, so that concurrent flushes do not write a count twice.
    flush: tokio::sync::Mutex<()>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    organization: OrganizationId,
    principal: String,
    method: String,
    denied: DeniedKey,
}

struct Pending {
    first: DeniedAttempt,
    uid: Uuid,
    time: DateTime<Utc>,
    /// Attempts since the last flush. The names of the current minute are kept until it is over.
    count: i64,
    resources: Vec<String>,
}

impl DeniedAttempts {
    /// Counts from zero.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, pending: Mutex::default(), flush: tokio::sync::Mutex::default() }
    }

    /// Counts an attempt. Never waits.
    pub fn record(&self, attempt: DeniedAttempt) {
        let time = self.clock.now();
        let key = Key {
            organization: attempt.caller.organization.clone(),
            principal: attempt.caller.principal.clone(),
            method: attempt.method.clone(),
            denied: DeniedKey { code: attempt.code.to_owned(), minute: minute(time) },
        };
        let mut pending = self.pending.lock();
        if !pending.contains_key(&key) && is_full(&mut pending, &key.organization) {
            metrics::counter!("denied.dropped").increment(1);
            tracing::warn!(target: "audit", organization = %key.organization, "dropped a denied attempt: buffer full");
            return;
        }
        let resource = attempt.resource.clone().filter(|name| is_well_formed(name));
        let entry = pending.entry(key).or_insert_with(|| Pending {
            first: attempt,
            uid: Uuid::now_v7(),
            time,
            count: 0,
            resources: Vec::new(),
        });
        entry.count += 1;
        if let Some(resource) = resource.filter(|name| !entry.resources.contains(name))
            && entry.resources.len() < MAX_NAMES
        {
            entry.resources.push(resource);
        }
    }

    /// Writes the counts. Those that could not be written stay for the next flush.
    pub async fn flush(&self) -> Result<()> {
        let _one_at_a_time = self.flush.lock().await;
        let mut result = Ok(());
        for (organization, rows) in self.unwritten() {
            let mut rows = rows.as_slice();
            while !rows.is_empty() {
                match self.write(&organization, &rows[..rows.len().min(MAX_ROWS_PER_TRANSACTION)]).await {
                    Ok(count) => {
                        let (written, others) = rows.split_at(count);
                        self.mark_written(&organization, written);
                        rows = others;
                    }
                    Err(error @ Error::Internal(_)) => {
                        tracing::warn!(target: "audit", %error, "failed to write denied attempts; writing them one by one");
                        result = self.write_one_by_one(&organization, rows).await;
                        break;
                    }
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
        }
        result
    }

    /// Writes each row in a transaction of its own. One that the database refuses is dropped.
    async fn write_one_by_one(&self, organization: &OrganizationId, rows: &[(Key, AuditEvent)]) -> Result<()> {
        for row in rows.chunks(1) {
            match self.write(organization, row).await {
                Ok(_) => self.mark_written(organization, row),
                Err(Error::Internal(cause)) => {
                    metrics::counter!("denied.dropped").increment(1);
                    tracing::error!(target: "audit", %organization, error = %cause, "dropped a denied attempt");
                    self.mark_written(organization, row);
                }
                // The next flush tries again.
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The rows to write, by organization.
    fn unwritten(&self) -> BTreeMap<OrganizationId, Vec<(Key, AuditEvent)>> {
        let mut rows = BTreeMap::<_, Vec<_>>::new();
        for (key, pending) in self.pending.lock().iter().filter(|(_, pending)| pending.count > 0) {
            rows.entry(key.organization.clone()).or_default().push((key.clone(), event(pending)));
        }
        rows
    }

    /// Writes the first rows, at least one, and returns how many.
    async fn write(&self, organization: &OrganizationId, rows: &[(Key, AuditEvent)]) -> Result<usize> {
        let context = OpContext::system(TASK, organization.clone(), Instant::now() + WRITE_TIMEOUT);
        let deadline = context.deadline;
        let state = (context, self.store.read_context().clone(), rows.to_vec());
        let written = self.store.transact_in_background(deadline, state, |db, (context, read_context, rows)| {
            Box::pin(async move {
                let scope = Scope { organization: &context.organization, read_context };
                let mut written = 0;
                for (key, event) in rows {
                    audit_events::count_denied(db, &scope, event, &key.denied).await?;
                    written += 1;
                    if !db.is_within_budget() {
                        break;
                    }
                }
                Ok(written)
            })
        });
        written.await
    }

    fn mark_written(&self, organization: &OrganizationId, rows: &[(Key, AuditEvent)]) {
        let now = minute(self.clock.now());
        let mut pending = self.pending.lock();
        for (key, event) in rows {
            audit::log(organization, event);
            if let Some(entry) = pending.get_mut(key) {
                entry.count -= event.count;
            }
        }
        pending.retain(|key, pending| pending.count > 0 || key.denied.minute >= now);
    }
}

/// Whether there is no room for another aggregate of an organization. Aggregates that were written make room.
fn is_full(pending: &mut HashMap<Key, Pending>, organization: &OrganizationId) -> bool {
    let is_full = |pending: &HashMap<Key, Pending>| {
        let own = pending.keys().filter(|key| key.organization == *organization).count();
        own >= MAX_PENDING_PER_ORGANIZATION || pending.len() >= MAX_PENDING
    };
    if is_full(pending) {
        pending.retain(|_, pending| pending.count > 0);
    }
    is_full(pending)
}

/// Whether a name can be that of a resource. What a caller sends instead of one is not stored.
fn is_well_formed(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn minute(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(60)
}

fn event(pending: &Pending) -> AuditEvent {
    let first = &pending.first;
    AuditEvent {
        uid: pending.uid,
        time: pending.time,
        principal: first.caller.principal.clone(),
        roles: first.caller.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        method: first.method.clone(),
        resource: pending.resources.join(" "),
        resource_uid: None,
        resource_display_name: String::new(),
        diff: AuditDiff::new(),
        outcome: Outcome::Denied,
        count: pending.count,
        call_id: first.call_id.clone(),
        trace_id: None,
        batch_id: None,
        reason: first.reason.clone(),
    }
}
