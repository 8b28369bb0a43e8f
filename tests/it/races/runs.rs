//! Starts, cancels, schedules and leases runs concurrently: an export has one unfinished run, a cancelled run does not go on,
//! and no run waits for an export that cannot run.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use outflow::background::Task as _;
use outflow::grpc::proto as pb;
use outflow::model::{OrganizationId, Role};
use outflow::runs::{
    AttemptError, Interruption, LeaseKeeper, LeaseTerms, LeasedRun, RunSettings, Scheduler, attempt_end, lease,
    save_attempt_end,
};
use outflow::store::runs::queue::LeaseLimits;
use pb::export_run::{SkipReason, State, Trigger};
use uuid::Uuid;

use super::{ROUNDS, Racers, outcome, race_for};
use crate::support::{Client, Clients as _, ErrorExt as _, Gate, TestServer, create_export};

/// How long a lease is valid.
const LEASE: Duration = Duration::from_mins(1);

/// The rounds of a race that has several pairs of calls.
fn rounds(pairs: u64) -> u64 {
    if Gate::is_full() { pairs * ROUNDS } else { ROUNDS }
}

fn run(export: &str) -> pb::RunExportRequest {
    pb::RunExportRequest { name: export.to_owned(), ..pb::RunExportRequest::default() }
}

fn cancel(run: &str) -> pb::CancelExportRunRequest {
    pb::CancelExportRunRequest { name: run.to_owned(), ..pb::CancelExportRunRequest::default() }
}

/// The runs of an export, by the uid of each even after the export was deleted.
async fn runs_of(admin: &mut Client, export: &pb::Export) -> Vec<pb::ExportRun> {
    let parent = export.name.rsplit_once('/').expect("a name").0;
    let mut runs = admin.runs(&format!("{parent}/-")).await;
    runs.retain(|run| run.export_display_name == export.display_name);
    runs
}

fn is_unfinished(run: &pb::ExportRun) -> bool {
    matches!(run.state(), State::Queued | State::Running | State::Cancelling)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_a_call_that_takes_its_export_away_leave_no_queued_run() {
    race_for("run ∥ run, detach, delete, suspend, revoke", rounds(5), async |_, racers, round| {
        let Racers { mut admin, mut second, mut ann, .. } = racers;
        let connection = admin.shared_connection(&format!("Connection {round}")).await.name;
        // A detached export is managed by its owner.
        let export = ann.export(&connection, &format!("Export {round}")).await;
        let name = export.name.clone();
        let (started, other, expected) = match round % 5 {
            0 => {
                let (first, other) =
                    tokio::join!(ann.exports.run_export(run(&name)), second.exports.run_export(run(&name)));
                let runs = runs_of(&mut admin, &export).await;
                let [only] = runs.as_slice() else { panic!("{runs:?}") };
                assert_eq!(only.state(), State::Queued);
                let refusal =
                    [&first, &other].into_iter().find_map(|result| result.as_ref().err()).expect("one is refused");
                assert_eq!((refusal.reason().as_str(), refusal.info("run")), ("RUN_IN_PROGRESS", only.name.clone()));
                assert!(first.is_ok() || other.is_ok(), "both were refused");
                return first.is_ok();
            }
            1 => {
                let detach = pb::DetachExportRequest { name: name.clone(), ..Default::default() };
                let (first, other) =
                    tokio::join!(ann.exports.run_export(run(&name)), second.exports.detach_export(detach));
                (first, outcome(&other), ("EXPORT_INACTIVE", State::Cancelled))
            }
            2 => {
                let delete = pb::DeleteExportRequest { name: name.clone(), ..Default::default() };
                let (first, other) =
                    tokio::join!(ann.exports.run_export(run(&name)), second.exports.delete_export(delete));
                (first, outcome(&other), ("RESOURCE_NOT_FOUND", State::Cancelled))
            }
            3 => {
                let suspend = pb::SuspendConnectionRequest { name: connection, ..Default::default() };
                let (first, other) =
                    tokio::join!(ann.exports.run_export(run(&name)), second.connections.suspend_connection(suspend));
                (first, outcome(&other), ("CONNECTION_SUSPENDED", State::Skipped))
            }
            _ => {
                let revoke = pb::RevokeConnectionCredentialRequest { name: connection, ..Default::default() };
                let (first, other) = tokio::join!(
                    ann.exports.run_export(run(&name)),
                    second.connections.revoke_connection_credential(revoke),
                );
                (first, outcome(&other), ("CREDENTIAL_REQUIRED", State::Skipped))
            }
        };
        assert_eq!(other, "OK");
        let states: Vec<_> = runs_of(&mut admin, &export).await.iter().map(pb::ExportRun::state).collect();
        match started {
            Ok(_) => assert_eq!(states, [expected.1]),
            Err(ref refusal) => assert_eq!((refusal.reason().as_str(), states.as_slice()), (expected.0, &[][..])),
        }
        started.is_ok()
    })
    .await;
}

/// Reports that an attempt was interrupted.
async fn interrupt(server: &TestServer, leased: &LeasedRun) {
    let settings = RunSettings {
        lease: LEASE,
        heartbeat: Duration::from_secs(1),
        max_runs: 1,
        max_runs_per_organization: 1,
        max_runs_per_connection_type: 1,
        max_failures: 1,
        retry_delay: Duration::ZERO,
        max_duration: LEASE,
        drain_timeout: Duration::ZERO,
    };
    let interrupted = Err(AttemptError::Interrupted(Interruption::Cancelled));
    let end = attempt_end(&interrupted, leased, outflow::model::RunStats::default(), &settings);
    save_attempt_end(&server.app, leased, end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_twice_or_while_it_is_leased_ends_cancelled() {
    race_for("cancel ∥ cancel, lease", rounds(2), async |server, _, round| {
        // The runner takes any run of an organization, so that each round has its own.
        let organization = format!("race-{round}");
        let mut admin = server.caller(&organization, "root", &[Role::Admin], &[]).await;
        let mut second = server.caller(&organization, "second", &[Role::Admin], &[]).await;
        let parent = format!("organizations/{organization}");
        let export = admin.export_in(&organization, "Weekly").await;
        let name = admin.run(&export.name).await.expect("queued").name;
        if round % 2 == 0 {
            let (first, other) = tokio::join!(
                admin.exports.cancel_export_run(cancel(&name)),
                second.exports.cancel_export_run(cancel(&name))
            );
            let [first, other] =
                [first, other].map(|result| result.expect("cancelled").into_inner().run.expect("a run"));
            assert_eq!((first.state(), &first), (State::Cancelled, &other));
            let list = pb::ListAuditEventsRequest { parent, resource: name, ..Default::default() };
            let events = admin.audit.list_audit_events(list).await.expect("listed").into_inner().audit_events;
            let mut cancelled = events.iter().filter(|event| event.method.ends_with("CancelExportRun"));
            let by_first = cancelled.next().expect("an event").principal == "root";
            assert_eq!(cancelled.next(), None, "it was cancelled once");
            return by_first;
        }
        let per_connection = vec![("sftp".to_owned(), 1)];
        let limits = LeaseLimits { per_connection, per_organization: 1, per_connection_type: 1 };
        let terms = Arc::new(LeaseTerms { owner: Uuid::new_v4(), duration: LEASE, limits });
        let organization = OrganizationId::parse(&organization).expect("an id");
        let (cancelled, leased) = tokio::join!(
            admin.exports.cancel_export_run(cancel(&name)),
            lease(server.app.store(), organization.clone(), &terms),
        );
        let cancelled = cancelled.expect("cancelled").into_inner().run.expect("a run").state();
        let leased = leased.expect("no error");
        assert_eq!(cancelled, if leased.is_some() { State::Cancelling } else { State::Cancelled });
        assert!(
            lease(server.app.store(), organization, &terms).await.expect("no error").is_none(),
            "leased afterwards"
        );
        if let Some(leased) = &leased {
            interrupt(server, leased).await;
        }
        let run = admin.read_run(&name).await;
        assert_eq!((run.state(), run.attempt), (State::Cancelled, i32::from(leased.is_some())));
        leased.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_expires_while_its_export_is_taken_away_is_not_queued_again() {
    race_for("expired lease ∥ detach, delete", rounds(2), async |server, _, round| {
        // The runner takes any run of an organization, so that each round has its own.
        let organization = format!("expired-{round}");
        let mut admin = server.caller(&organization, "root", &[Role::Admin], &[]).await;
        let parent = format!("organizations/{organization}");
        let export = admin.export_in(&organization, "Weekly").await.name;
        admin.run(&export).await.expect("queued");
        let per_connection = vec![("sftp".to_owned(), 1)];
        let limits = LeaseLimits { per_connection, per_organization: 1, per_connection_type: 1 };
        let terms = Arc::new(LeaseTerms { owner: Uuid::new_v4(), duration: Duration::ZERO, limits });
        let organization = OrganizationId::parse(&organization).expect("an id");
        lease(server.app.store(), organization, &terms).await.expect("no error").expect("it is queued");

        let take_away = async {
            if round % 2 == 0 {
                let detach = pb::DetachExportRequest { name: export.clone(), ..Default::default() };
                admin.exports.detach_export(detach).await.expect("detached");
            } else {
                let delete = pb::DeleteExportRequest { name: export.clone(), ..Default::default() };
                admin.exports.delete_export(delete).await.expect("deleted");
            }
        };
        let keeper = LeaseKeeper::new(server.app.clone());
        let ((), ended) = tokio::join!(take_away, keeper.run_once());
        ended.expect("no error");
        let [run] = admin.runs(&format!("{parent}/exports/-")).await.try_into().expect("one run");
        let run: pb::ExportRun = run;
        assert!(matches!(run.state(), State::Cancelling | State::Cancelled), "{run:?}");
        run.state() == State::Cancelling
    })
    .await;
}

/// Makes a due time of an export pass that has a schedule with an interval.
async fn make_due(server: &TestServer, export: &pb::Export, due: DateTime<Utc>) {
    let due = due.format("%Y-%m-%dT%H:%M:%S%.3f+00:00");
    let update = format!("UPDATE exports SET next_due_time = '{due}' WHERE display_name = '{}'", export.display_name);
    server.database().await.execute(&update).await;
}

/// Creates an export with a due time that has passed.
async fn due_export(server: &TestServer, admin: &mut Client, connection: &str, display_name: &str) -> pb::Export {
    let due = server.clock.now() - TimeDelta::seconds(10);
    let mut create = create_export(connection, display_name);
    let interval = pb::schedule::Interval {
        every: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        anchor: Some(prost_types::Timestamp { seconds: due.timestamp(), nanos: 0 }),
    };
    create.export.as_mut().expect("an export").schedule = Some(pb::Schedule {
        timing: Some(pb::schedule::Timing::Interval(interval)),
        enabled: true,
        ..pb::Schedule::default()
    });
    let created = admin.exports.create_export(create).await.expect("created").into_inner();
    let export = created.export.expect("an export");
    make_due(server, &export, due - TimeDelta::seconds(1)).await;
    export
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_and_another_start_are_one_unfinished_run() {
    race_for("due time ∥ due time, run", rounds(2), async |server, racers, round| {
        let Racers { mut admin, home, .. } = racers;
        let export = due_export(server, &mut admin, &home, &format!("Export {round}")).await;
        let scheduler = || async { Scheduler::new(&server.app, Arc::default()).run_once().await.expect("scheduled") };
        let is_started = if round % 2 == 0 {
            tokio::join!(scheduler(), scheduler());
            false
        } else {
            let (started, ()) = tokio::join!(admin.exports.run_export(run(&export.name)), scheduler());
            let outcome = outcome(&started);
            assert!(["OK", "RUN_IN_PROGRESS"].contains(&outcome.as_str()), "{outcome}");
            outcome == "OK"
        };
        // The scheduler of another round may have the export locked.
        let due = |runs: &[pb::ExportRun]| runs.iter().filter(|run| run.schedule_time.is_some()).count();
        let mut runs = runs_of(&mut admin, &export).await;
        while due(&runs) == 0 {
            scheduler().await;
            runs = runs_of(&mut admin, &export).await;
        }
        assert_eq!((due(&runs), runs.iter().filter(|run| is_unfinished(run)).count()), (1, 1), "{runs:?}");
        for run in &runs {
            match run.trigger() {
                Trigger::Manual => assert!(is_started && run.state() == State::Queued, "{runs:?}"),
                Trigger::Scheduled if is_started => assert_eq!(run.skip_reason(), SkipReason::Overlap, "{runs:?}"),
                _ => assert_eq!(run.state(), State::Queued, "{runs:?}"),
            }
        }
        let next = admin.read_export(&export.name).await.next_run_time.expect("another due time");
        assert!(next.seconds > server.clock.now().timestamp(), "{next:?}");
        is_started
    })
    .await;
}
