//! The steps of the scheduler and of a runner, made with the functions that the background tasks use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outflow::background::Task as _;
use outflow::delivery::DeliveryError;
use outflow::model::{FailureCode, OrganizationId, RunState, RunStats};
use outflow::runs::{
    AttemptError, Interruption, LeaseKeeper, LeaseTerms, LeasedRun, RunSettings, Scheduler, attempt_end, lease,
    save_attempt_end,
};
use outflow::store::Store;
use outflow::store::runs::changes;
use outflow::store::runs::leases::{self, Renewal};
use outflow::store::runs::queue::LeaseLimits;
use serde_json::Value;
use uuid::Uuid;

use super::Sequence;
use super::operations::{End, Op};
use super::reference::State;
use super::run_views::DETAIL;

/// Attempts of a run that may fail.
pub const MAX_FAILURES: u32 = 2;
/// Leased runs on one connection.
pub const MAX_PER_CONNECTION: u32 = 2;
/// Leased runs of the organization.
pub const MAX_PER_ORGANIZATION: u32 = 3;
/// How long a lease is valid: it expires with the next advance of the clock.
const LEASE: Duration = Duration::from_mins(30);
/// How long a transaction may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An attempt that the runner has begun and not reported; its lease may be lost.
pub struct Attempt {
    /// The number of its run.
    pub number: usize,
    leased: LeasedRun,
}

/// How the runner leases.
pub fn terms() -> Arc<LeaseTerms> {
    let limits = LeaseLimits {
        per_connection: vec![("sftp".to_owned(), MAX_PER_CONNECTION)],
        per_organization: MAX_PER_ORGANIZATION,
        per_connection_type: MAX_PER_ORGANIZATION,
    };
    Arc::new(LeaseTerms { owner: Uuid::new_v4(), duration: LEASE, limits })
}

fn settings() -> RunSettings {
    RunSettings {
        lease: LEASE,
        heartbeat: Duration::from_mins(1),
        max_runs: MAX_PER_ORGANIZATION,
        max_runs_per_organization: MAX_PER_ORGANIZATION,
        max_runs_per_connection_type: MAX_PER_ORGANIZATION,
        max_failures: MAX_FAILURES,
        retry_delay: Duration::from_hours(1),
        max_duration: Duration::from_hours(1),
        drain_timeout: Duration::ZERO,
    }
}

fn stats(rows: u64) -> RunStats {
    RunStats { rows_read: rows, rows_written: rows, bytes_written: rows, files: rows, rows_estimated: Some(rows) }
}

fn state(state: RunState) -> State {
    match state {
        RunState::Running => State::Running,
        RunState::Cancelling => State::Cancelling,
        other => panic!("the lease of a run that is {other:?}"),
    }
}

impl Sequence<'_> {
    /// Makes a step in the product and in the reference, and compares what it returns.
    pub async fn make_step(&mut self, op: &Op) {
        match op {
            Op::Schedule => {
                Scheduler::new(&self.server.app, Arc::default()).run_once().await.expect("scheduled");
                self.reference.schedule();
            }
            Op::EndLeases => {
                LeaseKeeper::new(self.server.app.clone()).run_once().await.expect("ended");
                self.reference.end_leases();
            }
            Op::Lease => self.lease().await,
            Op::Renew { rows } => self.renew(*rows).await,
            Op::EndAttempt { index, end, rows } => self.end_attempt(*index, *end, *rows).await,
            other => panic!("not a step: {other:?}"),
        }
    }

    fn store(&self) -> Store {
        self.server.app.store().clone()
    }

    /// Leases a run, and checks that what the runner gets is the present state of the export and of its connection.
    async fn lease(&mut self) {
        let organization = OrganizationId::parse(&self.organization.id).expect("an id");
        let leased = lease(&self.store(), organization, &self.terms).await;
        let leased = leased.unwrap_or_else(|error| panic!("{error:?}: {}", self.context()));
        let expected = self.reference.next_runs();
        let Some(leased) = leased else {
            assert_eq!(expected, Vec::<usize>::new(), "a run was not leased: {}", self.context());
            return;
        };
        let number = self.run_names.iter().position(|name| name.uid == leased.run.name.uid.to_string());
        let number = number.filter(|number| expected.contains(number));
        let number = number.unwrap_or_else(|| panic!("{} may not start: {}", leased.run.name, self.context()));
        self.reference.lease(number);
        let run = &self.reference.runs[number];
        let export = self.reference.exports.values().find(|export| export.incarnation == run.export);
        let (export, connection) = (export.expect("an export"), &self.reference.connections[&run.connection.0]);
        let expected = (
            (run.attempt, run.failures, export.revision.cast_signed()),
            (export.description.as_str(), Some(connection.host.as_str())),
            Some(connection.credential_revision),
        );
        let found = (
            (leased.run.attempt, leased.history.failures, leased.export.revision),
            (leased.export.description.as_str(), leased.connection.properties.get("host").and_then(Value::as_str)),
            leased.credential.as_ref().map(|(revision, _)| *revision),
        );
        assert_eq!(found, expected, "{}", self.context());
        self.attempts.push(Attempt { number, leased });
    }

    /// Renews the leases of all attempts. Those that were lost are not renewed.
    async fn renew(&mut self, rows: u64) {
        let renewal = |attempt: &Attempt| Renewal {
            organization: attempt.leased.run.name.organization.clone(),
            attempt: changes::Attempt { uid: attempt.leased.run.name.uid, number: attempt.leased.run.attempt },
            stats: stats(rows),
        };
        let renewals: Vec<_> = self.attempts.iter().map(renewal).collect();
        let (store, owner) = (self.store(), self.terms.owner);
        let work = store.transact_in_background(
            Instant::now() + TIMEOUT,
            (store.clone(), renewals),
            move |db, (store, renewals): &(Store, Vec<Renewal>)| {
                Box::pin(leases::renew(db, store.read_context(), owner, LEASE, renewals))
            },
        );
        let found: Vec<_> =
            work.await.expect("renewed").into_iter().map(|(held, found)| (held.uid, state(found))).collect();
        let mut expected = Vec::new();
        for Attempt { number, leased } in &self.attempts {
            let held = self.reference.renew(*number, leased.run.attempt, rows);
            expected.extend(held.map(|state| (leased.run.name.uid, state)));
        }
        assert_eq!(found, expected, "{}", self.context());
    }

    /// Reports the end of an attempt, which has no effect if its lease was lost.
    async fn end_attempt(&mut self, index: usize, end: End, rows: u64) {
        let Attempt { number, leased } = self.attempts.remove(index);
        let failed = |code| Err(AttemptError::Failed(DeliveryError::new(code, DETAIL)));
        let result = match end {
            End::Success => Ok(()),
            End::Retryable => failed(FailureCode::DestinationUnreachable),
            End::Permanent => failed(FailureCode::FieldMissing),
            End::Interrupted => Err(AttemptError::Interrupted(Interruption::Stopping)),
        };
        let end_of_attempt = attempt_end(&result, &leased, stats(rows), &settings());
        save_attempt_end(&self.server.app, &leased, end_of_attempt).await;
        self.reference.end_attempt(number, leased.run.attempt, end, rows);
    }
}
