//! Implements TestConnection, and tests new credentials for RotateConnectionCredential.

use std::time::Duration;

use tracing::{Instrument as _, Span};

use super::{CredentialInput, audit, credential, properties, stored};
use crate::app::rate_limit::RatePermit;
use crate::app::{Affected, App, Mutation, MutationTx};
use crate::catalog::{ConnectionType, DeliveredBy};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::Target;
use crate::model::audit::AuditDiff;
use crate::model::json::Object;
use crate::model::{
    Abort, CannotRun, Check, CheckOutcome, CheckStep, Connection, ConnectionName, ConnectionTypeId, ConnectionUid,
    CredentialSecret, Error, LastTest, OpContext, OrganizationId, Precondition, ResourceKind, Result, Violations,
};
use crate::store::{self, credentials};
use crate::vault::SealContext;

/// How long a test may take. A call has 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(25);

/// A connection to test.
pub enum TestConnection {
    /// A saved connection with its stored credential.
    Saved(ConnectionName),
    /// A draft with its own credential.
    Draft {
        /// Its type.
        connection_type: ConnectionTypeId,
        /// The fields of the type.
        properties: Object,
        /// Its credential.
        credential: Option<CredentialInput>,
    },
}

impl App {
    /// Tests a connection.
    pub async fn test_connection(&self, context: &OpContext, test: TestConnection) -> Result<Vec<Check>> {
        match test {
            TestConnection::Saved(name) => {
                context.invalid_form.clone().into_result()?;
                let permit = self.0.tests.acquire(&context.organization)?;
                let (connection, credential) = self.open_saved(context, &name).await?;
                self.execute(context, RecordTest { name }).await?;
                let target = target(context, connection.properties, credential);
                let checks = self.run_test(&connection.connection_type, target, permit).await?;
                let result = LastTest { time: self.now(), checks: checks.clone() };
                let save = SaveTest { uid: connection.uid, tested: connection.revision, result };
                // The caller gets the result in any case.
                if let Err(error) = self.execute(context, save).await {
                    tracing::warn!(connection = %connection.name, %error, "failed to save the result of a test");
                }
                Ok(checks)
            }
            TestConnection::Draft { connection_type, properties, credential } => {
                let known = stored::known_type(self, "connection.connection_type", &connection_type);
                let checked = known
                    .and_then(|known| self.check_draft(&context.organization, known, &properties, credential.as_ref()));
                let (properties, credential) = context.invalid_form.clone().finish(checked)?;
                let permit = self.0.tests.acquire(&context.organization)?;
                let target = target(context, properties, credential);
                self.run_test(&connection_type, target, permit).await
            }
        }
    }

    /// Tests a new credential of a saved connection. Fails with `CREDENTIAL_TEST_FAILED` if a check does not pass.
    pub async fn test_credential(
        &self,
        context: &OpContext,
        connection: Connection,
        secret: CredentialSecret,
    ) -> Result<LastTest> {
        let permit = self.0.tests.acquire(&context.organization)?;
        let target = target(context, connection.properties, Some(secret));
        let checks = self.run_test(&connection.connection_type, target, permit).await?;
        let failed: Vec<_> = checks.iter().filter_map(failed_check).collect();
        if failed.is_empty() {
            Ok(LastTest { time: self.now(), checks })
        } else {
            Err(Precondition::CredentialTestFailed { failed_checks: failed }.into())
        }
    }

    /// A saved connection and its credential, opened.
    async fn open_saved(
        &self,
        context: &OpContext,
        name: &ConnectionName,
    ) -> Result<(Connection, Option<CredentialSecret>)> {
        let (reader, scope) = (self.reader(context), self.scope(context));
        let found = store::connections::find(&reader, &scope, &name.id).await?;
        let connection = found.ok_or_else(|| Error::NotFound(ResourceKind::Connection, name.to_string()))?;
        let sealed = credentials::get(&reader, &scope, connection.uid).await?;
        // A change between the two reads: the credential belongs to other properties.
        let now = store::connections::find(&reader, &scope, &name.id).await?;
        if now.is_none_or(|now| (now.uid, now.revision) != (connection.uid, connection.revision)) {
            return Err(Error::Aborted(Abort::Conflict));
        }
        if connection.needs_credential && sealed.is_none() {
            return Err(Precondition::CredentialRequired { connection: name.to_string() }.into());
        }
        let open = |(revision, sealed): (i64, crate::model::SealedSecret)| {
            let context = SealContext {
                organization: scope.organization.as_str(),
                connection_uid: connection.uid.0,
                revision: u64::try_from(revision).map_err(Error::internal)?,
            };
            self.0.parts.vault.open(&context, &connection.properties, &sealed.envelope).map_err(Error::internal)
        };
        let credential = sealed.map(open).transpose()?;
        Ok((connection, credential))
    }

    fn check_draft(
        &self,
        organization: &OrganizationId,
        known: &ConnectionType,
        properties: &Object,
        credential: Option<&CredentialInput>,
    ) -> Result<(Object, Option<CredentialSecret>)> {
        let mut violations = Violations::new();
        let mut properties = properties.clone();
        for field in &known.property_fields {
            if let Some(value) = field.draft_value.as_ref().filter(|_| field.is_absent(&properties)) {
                properties.insert(field.key.clone(), value.clone());
            }
        }
        let checked = properties::check(&mut violations, self, organization, known, &properties);
        let given =
            credential::check(&mut violations, known, (&checked, Some(properties::PATH)), credential, self.now());
        if known.needs_credential() && credential.is_none() {
            violations.add("credential", format!("is required for connections of type {}", known.id));
        }
        violations.into_result()?;
        Ok((checked, given.map(|input| input.secret)))
    }

    /// Tests a destination in a task of its own: a test removes what it wrote, also if the caller no longer waits.
    async fn run_test(
        &self,
        connection_type: &ConnectionTypeId,
        target: Target,
        permit: RatePermit,
    ) -> Result<Vec<Check>> {
        let known = self.connection_type(connection_type);
        if known.is_none_or(|known| known.delivered_by != DeliveredBy::BuiltIn) {
            return Err(CannotRun::NoRunner { connection_type: connection_type.name() }.into());
        }
        let destination = self.0.parts.delivery.destinations.build(connection_type, target);
        let destination = match destination {
            Ok(destination) => destination,
            Err(error) => return Ok(failed_before(&error)),
        };
        let test = async move {
            let _permit = permit;
            // Each step has a shorter timeout of its own.
            tokio::time::timeout(TIMEOUT, destination.test()).await.map_err(|_| Error::DeadlineExceeded)
        };
        self.0.parts.tasks.spawn(test.instrument(Span::current())).await.map_err(Error::internal)?
    }
}

/// Records in the audit log that the stored credential was opened for a test.
struct RecordTest {
    name: ConnectionName,
}

impl Mutation for RecordTest {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let found = store::connections::find(tx.db, &tx.scope, &self.name.id).await?;
        let connection = found.ok_or_else(|| Error::NotFound(ResourceKind::Connection, self.name.to_string()))?;
        tx.audit(audit::resource(&connection), AuditDiff::new(), None, "tested");
        Ok(stored::affected(&connection))
    }
}

/// Saves the result of a test.
struct SaveTest {
    uid: ConnectionUid,
    /// The revision that was tested.
    tested: i64,
    result: LastTest,
}

impl Mutation for SaveTest {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        store::connections::save_test(tx.db, &tx.scope, self.uid, self.tested, &self.result).await?;
        Ok(Affected::default())
    }
}

fn target(context: &OpContext, properties: Object, credential: Option<CredentialSecret>) -> Target {
    Target { organization: context.organization.clone(), properties, credential, settings: Object::new() }
}

/// The result of a test whose destination cannot be built from the connection.
fn failed_before(error: &DeliveryError) -> Vec<Check> {
    let outcome = CheckOutcome::Failed { code: error.code, found_host_key: None };
    vec![Check { step: CheckStep::Connect, outcome }]
}

/// `STEP: CODE` of a failed check.
fn failed_check(check: &Check) -> Option<String> {
    match &check.outcome {
        CheckOutcome::Failed { code, .. } => Some(format!("{}: {}", check.step.as_str(), code.as_str())),
        CheckOutcome::Passed | CheckOutcome::Skipped => None,
    }
}
