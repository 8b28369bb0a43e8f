//! Mutations. Each is one transaction, which also records its idempotency key and its audit events, and reads its
//! response.

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{App, audit};
use crate::model::audit::{AuditDiff, AuditEvent, AuditResource, Outcome};
use crate::model::{Connection, Error, Export, Invalid, OpContext, Result};
use crate::store::{OnSuccess, Scope, Transaction, audit_events, request_ids};

/// A mutation, executed in one transaction. The type holds its input.
pub trait Mutation: Send + Sync + 'static {
    /// The result.
    type Response: ReadBack;

    /// Whether `apply` checks fields of the request, as those of a type. It then runs for a request with an invalid form too, and is
    /// rolled back, so that the caller learns of all violations at once.
    const CHECKS_FIELDS: bool = false;

    /// Reads what is outside the database and must not be waited for in a transaction. It runs once, before the transaction,
    /// also for a repeated request.
    fn prepare(&mut self, _app: &App, _context: &OpContext) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Locks its resources, checks permissions and preconditions, and makes the change. It runs again if the
    /// transaction is retried after a conflict.
    fn apply(&self, tx: &mut MutationTx<'_>) -> impl Future<Output = Result<Affected>> + Send;
}

/// A response that is read back in the transaction of the change, or when the request is repeated.
///
/// A change that knows all of what it stored sets `connection` or `export` of its transaction, which saves a statement.
pub trait ReadBack: Sized + Send + 'static {
    /// Reads the current state of the affected resource.
    fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> impl Future<Output = Result<Self>> + Send;
}

/// The resources that a mutation affected. The response is read from them, also when the request is repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Uids and names of resources; empty if a whole blocking set was detached.
    pub resources: Vec<(Uuid, String)>,
    /// Shared by the audit events of a batch.
    pub batch_id: Option<Uuid>,
    /// Number of affected resources, for responses that contain it.
    pub count: u64,
    /// Names of resources that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// The transaction of a change.
pub struct MutationTx<'a> {
    /// The application.
    pub app: &'a App,
    /// The actor, the organization and the limits of the operation.
    pub context: &'a OpContext,
    /// The organization's rows.
    pub scope: Scope<'a>,
    /// The open transaction.
    pub db: &'a Transaction,
    /// Current time, the same for all changes of the mutation.
    pub now: DateTime<Utc>,
    /// The affected connection, as it would be read back.
    pub connection: Option<Connection>,
    /// The affected export, as it would be read back.
    pub export: Option<Export>,
    events: Vec<AuditEvent>,
}

impl Affected {
    /// One resource.
    pub fn one(uid: Uuid, name: &impl ToString) -> Self {
        Self { resources: vec![(uid, name.to_string())], ..Self::default() }
    }

    /// The uid and name of the one resource.
    pub fn single(&self) -> Result<&(Uuid, String)> {
        self.resources.first().ok_or_else(|| Error::internal("a change that affected no resource"))
    }
}

impl App {
    /// Executes a mutation in a transaction and returns the result read in the same transaction.
    ///
    /// A retried request has no second effect: it returns the current state of what the first one affected. With
    /// `validate_only`, and for a request with an invalid form, the mutation is executed and rolled back.
    pub async fn execute<M: Mutation>(&self, context: &OpContext, mut mutation: M) -> Result<M::Response> {
        let limit = self.quotas().writes_per_second.filter(|_| !context.is_dry_run());
        if let (Some(_), Some(per_second)) = (context.actor.caller(), limit) {
            self.0.write_rates.count(&context.organization, per_second, Instant::now())?;
        }
        mutation.prepare(self, context).await;
        let on_success = if context.is_dry_run() { OnSuccess::Rollback } else { OnSuccess::Commit };
        let execution = Execution { app: self.clone(), context: context.clone(), mutation };
        let transaction = self.0.parts.store.transact(
            context.actor.caller(),
            context.deadline,
            on_success,
            execution,
            |db, execution| Box::pin(execution.run(db)),
        );
        let (response, events) = context.invalid_form.clone().finish(transaction.await)?;
        if on_success == OnSuccess::Commit {
            for event in &events {
                audit::log(&context.organization, event);
            }
        }
        // The transaction that waits for this one's connection begins before the response is converted.
        tokio::task::yield_now().await;
        Ok(response)
    }
}

/// State of the mutation, owned by the task of its transaction.
struct Execution<M> {
    app: App,
    context: OpContext,
    mutation: M,
}

impl<M: Mutation> Execution<M> {
    async fn run(&self, db: &Transaction) -> Result<(M::Response, Vec<AuditEvent>)> {
        let Self { app, context, mutation } = self;
        let (scope, now) = (app.scope(context), app.now());
        let mut tx = MutationTx { app, context, scope, db, now, connection: None, export: None, events: Vec::new() };
        let request = context.idempotency_key.filter(|_| !context.is_dry_run()).map(|key| {
            let principal = context.actor.principal();
            (request_ids::Key { principal, method: context.operation, request_id: key.request_id }, key.digest)
        });
        if let Some((key, digest)) = &request
            && let Some(earlier) = request_ids::claim(db, &tx.scope, key, digest, tx.now).await?
        {
            if earlier.digest != digest {
                let description = "was used for another request within the last 24 hours";
                return Err(Error::invalid_as(Invalid::RequestIdReused, "request_id", description));
            }
            let affected = serde_json::from_value(earlier.affected).map_err(Error::internal)?;
            return Ok((M::Response::read_back(&mut tx, &affected).await?, Vec::new()));
        }
        let affected = mutation.apply(&mut tx).await?;
        // Inserts wait for the next statement, so the update is the last one.
        audit_events::insert(db, &tx.scope, &mut tx.events).await?;
        if let Some((key, _)) = &request {
            let affected = serde_json::to_value(&affected).map_err(Error::internal)?;
            request_ids::record(db, &tx.scope, key, affected).await?;
        }
        Ok((M::Response::read_back(&mut tx, &affected).await?, tx.events))
    }
}

impl MutationTx<'_> {
    /// Records an audit event, which is written in this transaction.
    pub fn audit(&mut self, resource: AuditResource, diff: AuditDiff, batch_id: Option<Uuid>, reason: &str) {
        self.events.push(AuditEvent {
            uid: Uuid::now_v7(),
            time: self.now,
            principal: self.context.actor.principal(),
            roles: self.context.actor.roles().iter().map(|role| role.as_str().to_owned()).collect(),
            method: self.context.operation.to_owned(),
            resource: resource.name,
            resource_uid: Some(resource.uid),
            resource_display_name: resource.display_name,
            diff,
            outcome: Outcome::Succeeded,
            count: 1,
            call_id: self.context.call_id.clone(),
            trace_id: self.context.trace_parent.as_ref().map(|parent| parent.trace_id().to_owned()),
            batch_id,
            reason: reason.to_owned(),
        });
    }
}

impl ReadBack for () {
    async fn read_back(_: &mut MutationTx<'_>, _: &Affected) -> Result<Self> {
        Ok(())
    }
}
