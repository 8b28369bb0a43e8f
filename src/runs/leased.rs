//! A leased run with everything that its attempt uses, as it was when the lease was taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::delivery::DeliveryError;
use crate::model::audit::{AuditDiff, AuditEvent, Outcome};
use crate::model::{
    Actor, Connection, CredentialSecret, Error, Export, FailureCode, OrganizationId, Result, Run, RunStats,
    SYSTEM_PREFIX, SealedSecret,
};
use crate::store::runs::leases::{self, History};
use crate::store::runs::queue::{self, LeaseLimits};
use crate::store::{self, Scope, Store, Transaction, audit_events, credentials};
use crate::vault::{SealContext, Vault};

/// The name of the actor that opens credentials.
const ACTOR: &str = "runner";
/// How long the transaction of a lease may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A leased run.
pub struct LeasedRun {
    /// The run.
    pub run: Run,
    /// Its export.
    pub export: Export,
    /// The connection of the export.
    pub connection: Connection,
    /// The revision of the credential, and the credential; `None` if the type takes none.
    pub credential: Option<(i64, SealedSecret)>,
    /// What earlier attempts left.
    pub history: History,
    /// The counts of the attempt before.
    pub earlier_stats: RunStats,
    /// The time since the start of its first attempt.
    pub elapsed: Duration,
}

/// How a replica leases.
#[derive(Clone)]
pub struct LeaseTerms {
    /// The replica.
    pub owner: Uuid,
    /// How long a lease is valid.
    pub duration: Duration,
    /// How many runs may be leased at once.
    pub limits: LeaseLimits,
}

/// Leases a run of an organization, if one may start.
pub async fn lease(store: &Store, organization: OrganizationId, terms: &Arc<LeaseTerms>) -> Result<Option<LeasedRun>> {
    let state = (store.clone(), organization, Arc::clone(terms));
    let leased = store.transact_in_background(
        Instant::now() + TIMEOUT,
        state,
        |db, (store, organization, terms): &(Store, OrganizationId, Arc<LeaseTerms>)| {
            Box::pin(lease_in(db, Scope { organization, read_context: store.read_context() }, terms))
        },
    );
    leased.await
}

/// Opens the credential of a connection.
pub fn open_credential(
    vault: &Vault,
    connection: &Connection,
    (revision, sealed): &(i64, SealedSecret),
) -> Result<CredentialSecret, DeliveryError> {
    let context = SealContext {
        organization: connection.name.organization.as_str(),
        connection_uid: connection.uid.0,
        revision: u64::try_from(*revision).unwrap_or_default(),
    };
    let opened = vault.open(&context, &connection.properties, &sealed.envelope);
    opened.map_err(|error| DeliveryError::with(FailureCode::CredentialRequired, "cannot open the credential", error))
}

async fn lease_in(db: &Transaction, scope: Scope<'_>, terms: &LeaseTerms) -> Result<Option<LeasedRun>> {
    if !queue::try_lock_organization(db, scope.organization).await? {
        return Ok(None);
    }
    let next = queue::lease_next(db, &scope, terms.owner, terms.duration, &terms.limits).await?;
    let Some((uid, earlier_stats)) = next else { return Ok(None) };
    let missing = |what: &str| Error::internal(format!("the {what} of a leased run does not exist"));
    let run = store::runs::get(db, &scope, uid).await?.ok_or_else(|| missing("row"))?;
    let exports = store::exports::get_many(db, &scope, &Actor::System(ACTOR), [run.export]).await?;
    let export = exports.into_iter().next().ok_or_else(|| missing("export"))?;
    let connection = store::connections::get(db, &scope, run.connection).await?;
    let connection = connection.ok_or_else(|| missing("connection"))?;
    let credential = credentials::get(db, &scope, run.connection).await?;
    let now = store::database_time(db, scope.read_context).await?;
    let elapsed = run.start_time.and_then(|start| (now - start).to_std().ok()).unwrap_or_default();
    if credential.is_some() {
        let event = AuditEvent {
            uid: Uuid::now_v7(),
            time: now,
            principal: format!("{SYSTEM_PREFIX}{ACTOR}"),
            roles: Vec::new(),
            method: ACTOR.to_owned(),
            resource: connection.name.to_string(),
            resource_uid: Some(connection.uid.0),
            resource_display_name: connection.display_name.clone(),
            diff: AuditDiff::new(),
            outcome: Outcome::Succeeded,
            count: 1,
            call_id: String::new(),
            trace_id: None,
            batch_id: None,
            reason: format!("opened the credential for {}, attempt {}", run.name, run.attempt),
        };
        audit_events::insert(db, &scope, &mut [event]).await?;
    }
    let history = leases::history(db, &scope, uid).await?;
    Ok(Some(LeasedRun { run, export, connection, credential, history, earlier_stats, elapsed }))
}
