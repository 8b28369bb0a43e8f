//! Denied attempts: counted in the background, so that nobody who is denied ever waits for it.
//!
//! One row for each principal, method, code and minute: were it one for each attempt, any token could fill the disk.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::App;
use crate::model::audit::{AuditEvent, Changes, Outcome};
use crate::model::{Caller, Clock};
use crate::store::audit::DeniedKey;
use crate::store::{self, OnSuccess, Scope, Store};

/// Attempts that wait to be counted; what does not fit is told on the log.
const QUEUE: usize = 1_000;
/// How often counts are written.
const FLUSH: Duration = Duration::from_secs(5);
/// Names of resources that a row keeps.
const NAMES: usize = 5;
/// How long a write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// One denied attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Who.
    pub caller: Caller,
    /// Through which method.
    pub method: String,
    /// The gRPC code.
    pub code: &'static str,
    /// Why: the reason as callers see it.
    pub reason: String,
    /// On which resource, if the refusal names one.
    pub resource: Option<String>,
    /// `x-request-id` of the call.
    pub call_id: String,
}

enum Message {
    Denied(Box<Denial>, DateTime<Utc>),
    Flush(oneshot::Sender<()>),
}

/// The way to the writer.
pub struct Denials {
    queue: mpsc::Sender<Message>,
    clock: Clock,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    organization: String,
    principal: String,
    method: String,
    denied: DeniedKey,
}

struct Counted {
    first: Denial,
    uid: Uuid,
    time: DateTime<Utc>,
    count: i64,
    resources: Vec<String>,
}

impl App {
    /// Counts a denied attempt; never waits.
    pub fn denied(&self, denial: Denial) {
        let Denials { queue, clock } = &self.0.denials;
        if queue.try_send(Message::Denied(Box::new(denial), clock.now())).is_err() {
            tracing::warn!(target: "audit", "a denied attempt was not counted: too many at once");
        }
    }
}

impl Denials {
    /// Starts the writer.
    pub fn start(store: Store, clock: Clock) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(write(store, clock.clone(), receiver));
        Self { queue, clock }
    }

    /// Waits until everything queued so far is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            // The writer may stop in between; then there is nothing left to wait for.
            let _ = written.await;
        }
    }
}

async fn write(store: Store, clock: Clock, mut receiver: mpsc::Receiver<Message>) {
    let mut counts = HashMap::new();
    let mut ticks = tokio::time::interval(FLUSH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = receiver.recv() => match message {
                Some(Message::Denied(denial, time)) => count(&mut counts, *denial, time),
                Some(Message::Flush(done)) => {
                    flush(&store, &clock, &mut counts).await;
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                None => return flush(&store, &clock, &mut counts).await,
            },
            _ = ticks.tick() => flush(&store, &clock, &mut counts).await,
        }
    }
}

fn count(counts: &mut HashMap<Key, Counted>, denial: Denial, time: DateTime<Utc>) {
    let key = Key {
        organization: denial.caller.organization.to_string(),
        principal: denial.caller.principal.clone(),
        method: denial.method.clone(),
        denied: DeniedKey { code: denial.code.to_owned(), minute: minute(time) },
    };
    let resource = denial.resource.clone();
    let counted = counts.entry(key).or_insert_with(|| Counted {
        first: denial,
        uid: Uuid::now_v7(),
        time,
        count: 0,
        resources: Vec::new(),
    });
    counted.count += 1;
    if let Some(resource) = resource.filter(|name| !counted.resources.contains(name))
        && counted.resources.len() < NAMES
    {
        counted.resources.push(resource);
    }
}

fn minute(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(60)
}

/// Writes the counts; those that cannot be written for now stay for the next time, as many as there is room for.
async fn flush(store: &Store, clock: &Clock, counts: &mut HashMap<Key, Counted>) {
    let new = counts.iter().filter(|(_, counted)| counted.count > 0);
    let rows: Vec<_> = new.map(|(key, counted)| row(store, key, counted)).collect();
    if rows.is_empty() {
        return;
    }
    let events: Vec<_> = rows.iter().map(|(scope, event, _)| (scope.organization.clone(), event.clone())).collect();
    let deadline = std::time::Instant::now() + WRITE_TIMEOUT;
    let written = store.transact(deadline, OnSuccess::Commit, rows, |db, rows| {
        Box::pin(async move {
            for (scope, event, key) in rows {
                store::audit::count_denied(db, scope, event, key).await?;
            }
            Ok(())
        })
    });
    match written.await {
        Ok(()) => {
            for (organization, event) in &events {
                super::audit::log(organization, event);
            }
            // The names of a minute are kept to its end: they are written again with those that come.
            let now = minute(clock.now());
            counts.retain(|key, _| key.denied.minute >= now);
            for counted in counts.values_mut() {
                counted.count = 0;
            }
        }
        Err(error) => {
            tracing::warn!(target: "audit", ?error, "denied attempts could not be written");
            counts.retain(|_, counted| counted.count > 0);
            if counts.len() >= QUEUE {
                let lost: i64 = counts.values().map(|counted| counted.count).sum();
                tracing::warn!(target: "audit", lost, "denied attempts were given up: there is no more room for them");
                counts.clear();
            }
        }
    }
}

fn row(store: &Store, key: &Key, counted: &Counted) -> (Scope, AuditEvent, DeniedKey) {
    let first = &counted.first;
    let scope = Scope { organization: first.caller.organization.clone(), read_context: store.read_context().clone() };
    let event = AuditEvent {
        uid: counted.uid,
        time: counted.time,
        principal: first.caller.principal.clone(),
        roles: first.caller.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        method: first.method.clone(),
        resource: counted.resources.join(" "),
        resource_uid: None,
        resource_display_name: String::new(),
        changes: Changes::new(),
        outcome: Outcome::Denied,
        count: counted.count,
        call_id: first.call_id.clone(),
        trace_id: None,
        batch_id: None,
        reason: first.reason.clone(),
    };
    (scope, event, key.denied.clone())
}
