//! A change: one transaction with its request id, its audit entries, and its answer read back within.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::App;
use crate::model::audit::{AuditEvent, Changes, Outcome};
use crate::model::{Call, Error, Invalid, Mutation, Result, Role};
use crate::store::{self, OnSuccess, Scope, Transaction, request_ids};

/// A change under way.
pub struct Change<'a> {
    /// The service.
    pub app: &'a App,
    /// Who asks, and how.
    pub call: &'a Call,
    /// Whose rows.
    pub scope: &'a Scope,
    /// The open transaction.
    pub db: &'a Transaction,
    /// The one time of everything in it.
    pub now: DateTime<Utc>,
    events: Mutex<Vec<AuditEvent>>,
}

/// What a change made or changed: all that is needed to answer, now or when the request comes again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Uids and names; of a whole set none.
    pub resources: Vec<(Uuid, String)>,
    /// Shared by the audit events of a batch.
    pub batch_id: Option<Uuid>,
    /// How many were affected, where the answer says so.
    pub count: u64,
}

impl Effect {
    /// One resource.
    pub fn one(uid: Uuid, name: &impl ToString) -> Self {
        Self { resources: vec![(uid, name.to_string())], ..Self::default() }
    }

    /// The one resource.
    pub fn single(&self) -> Result<&(Uuid, String)> {
        self.resources.first().ok_or_else(|| Error::internal("an effect without its resource"))
    }
}

/// What an audit entry is about.
pub struct Subject<'a> {
    /// Its uid.
    pub uid: Uuid,
    /// Its name.
    pub name: String,
    /// What people call it.
    pub display_name: &'a str,
}

/// Makes the change.
pub type Act<I> = for<'a> fn(&'a Change<'a>, &'a I) -> BoxFuture<'a, Result<Effect>>;
/// Reads the answer, in the transaction of the change or when the request comes again.
pub type Answer<T> = for<'a> fn(&'a Change<'a>, &'a Effect) -> BoxFuture<'a, Result<T>>;

struct Job<I, T> {
    app: App,
    call: Call,
    scope: Scope,
    mutation: Mutation,
    input: I,
    act: Act<I>,
    answer: Answer<T>,
}

impl App {
    /// The mutation that a request asks for; `content` is the message without its request id.
    pub fn mutation(&self, request_id: Option<Uuid>, validate_only: bool, content: &[u8]) -> Mutation {
        let request = request_id.map(|id| (id, self.0.hasher.digest(content)));
        Mutation { request, validate_only }
    }

    /// Runs `act` in a transaction and answers by what `answer` reads there.
    ///
    /// The same request again has no second effect: it is answered by `answer` alone. A rehearsal does everything and
    /// leaves nothing.
    pub(super) async fn change<I, T>(
        &self,
        call: &Call,
        mutation: Mutation,
        input: I,
        act: Act<I>,
        answer: Answer<T>,
    ) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let on_success = if mutation.validate_only { OnSuccess::Rollback } else { OnSuccess::Commit };
        let scope = self.scope(call);
        let job = Job { app: self.clone(), call: call.clone(), scope, mutation, input, act, answer };
        let store = &self.0.store;
        let (answer, events) = store.transact(call.deadline, on_success, job, |db, job| Box::pin(job.run(db))).await?;
        if on_success == OnSuccess::Commit {
            for event in &events {
                super::audit::log(&call.caller.organization, event);
            }
        }
        Ok(answer)
    }
}

impl<I: Sync, T> Job<I, T> {
    async fn run(&self, db: &Transaction) -> Result<(T, Vec<AuditEvent>)> {
        let Self { app, call, scope, mutation, .. } = self;
        let now = app.now();
        let change = Change { app, call, scope, db, now, events: Mutex::default() };
        let request = mutation.request.filter(|_| !mutation.validate_only).map(|(request_id, digest)| {
            let principal = call.caller.principal.clone();
            (request_ids::Key { principal, method: call.method, request_id }, digest)
        });
        if let Some((key, digest)) = &request
            && let Some(earlier) = request_ids::claim(db, scope, key, digest, now).await?
        {
            if earlier.digest != digest {
                let description = "was used for another request within the last 24 hours";
                return Err(Error::invalid_as(Invalid::RequestIdReused, "request_id", description));
            }
            let effect = serde_json::from_value(earlier.effect).map_err(Error::internal)?;
            return Ok(((self.answer)(&change, &effect).await?, Vec::new()));
        }
        let effect = (self.act)(&change, &self.input).await?;
        if let Some((key, _)) = &request {
            let effect = serde_json::to_value(&effect).map_err(Error::internal)?;
            request_ids::record(db, scope, key, effect).await?;
        }
        let events = std::mem::take(&mut *change.events.lock().unwrap_or_else(PoisonError::into_inner));
        store::audit::insert(db, scope, &events).await?;
        Ok(((self.answer)(&change, &effect).await?, events))
    }
}

impl Change<'_> {
    /// Refuses a caller without the role.
    pub fn require(&self, role: Role) -> Result<()> {
        self.call.caller.require(role)
    }

    /// Notes a change for the audit log.
    pub fn audit(&self, subject: &Subject<'_>, changes: Changes, batch_id: Option<Uuid>, reason: &str) {
        let caller = &self.call.caller;
        let event = AuditEvent {
            uid: Uuid::now_v7(),
            time: self.now,
            principal: caller.principal.clone(),
            roles: caller.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            method: self.call.method.to_owned(),
            resource: subject.name.clone(),
            resource_uid: Some(subject.uid),
            resource_display_name: subject.display_name.to_owned(),
            changes,
            outcome: Outcome::Succeeded,
            count: 1,
            call_id: self.call.call_id.clone(),
            trace_id: self.call.trace_id.clone(),
            batch_id,
            reason: reason.to_owned(),
        };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}
