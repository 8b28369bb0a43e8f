//! The scheduler: due times become runs, once each. No replica executes them.

use std::sync::Arc;

use chrono::TimeDelta;
use outflow::background::Task as _;
use outflow::grpc::proto as pb;
use outflow::runs::Scheduler;
use pb::export_run::{SkipReason, State, Trigger};
use pb::schedule::OverlapPolicy;

use crate::support::{Client, Clients as _, TestServer, object, on_both, parent, text};

impl Client {
    /// Creates a connection to a local directory, which permits a run per minute.
    pub async fn local_directory(&mut self, directory: &str) -> pb::Connection {
        let connection = pb::Connection {
            display_name: directory.to_owned(),
            connection_type: "connectionTypes/local_directory".to_owned(),
            properties: Some(object([("directory", text(directory))])),
            ..pb::Connection::default()
        };
        let request = pb::CreateConnectionRequest {
            parent: parent(),
            connection: Some(connection),
            ..pb::CreateConnectionRequest::default()
        };
        self.connections.create_connection(request).await.expect("created").into_inner().connection.expect("answered")
    }

    /// Creates an export with a run per minute.
    pub async fn every_minute(&mut self, connection: &str, policy: OverlapPolicy) -> pb::Export {
        let mut export = crate::support::export_on(connection, "Every minute");
        export.schedule = Some(pb::Schedule {
            timing: Some(pb::schedule::Timing::Interval(pb::schedule::Interval {
                every: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
                anchor: None,
            })),
            enabled: true,
            overlap_policy: policy.into(),
            ..pb::Schedule::default()
        });
        let request = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
        self.exports.create_export(request).await.expect("created").into_inner().export.expect("answered")
    }
}

/// Lets the time pass, and runs the scheduler once.
async fn pass(server: &TestServer, time: TimeDelta) {
    server.clock.advance(time);
    Scheduler::new(&server.app, Arc::default()).run_once().await.expect("scheduled");
}

fn facts(runs: &[pb::ExportRun]) -> Vec<(State, Trigger, SkipReason, i64)> {
    runs.iter().map(|run| (run.state(), run.trigger(), run.skip_reason(), run.skipped_count)).collect()
}

const ON_TIME: (State, Trigger, SkipReason, i64) = (State::Queued, Trigger::Scheduled, SkipReason::Unspecified, 0);

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_becomes_one_run() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.local_directory("out").await;
        let export = admin.every_minute(&connection.name, OverlapPolicy::Skip).await;
        pass(&server, TimeDelta::seconds(30)).await;
        assert_eq!(facts(&admin.runs(&export.name).await), []);
        pass(&server, TimeDelta::seconds(31)).await;
        pass(&server, TimeDelta::zero()).await;
        let runs = admin.runs(&export.name).await;
        assert_eq!(facts(&runs), [ON_TIME]);
        assert_eq!((runs[0].principal.as_str(), runs[0].schedule_time), ("system:scheduler", export.next_run_time));
        let next = admin.read_export(&export.name).await.next_run_time.expect("another due time");
        assert_eq!(next.seconds, export.next_run_time.expect("a due time").seconds + 60);
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_missed_due_times_is_one_run_and_one_record() {
    on_both(async |server: TestServer| {
        let connection = server.admin().await.local_directory("out").await;
        let export = server.admin().await.every_minute(&connection.name, OverlapPolicy::Skip).await;
        pass(&server, TimeDelta::hours(24)).await;
        let mut admin = server.admin().await;
        let runs = admin.runs(&export.name).await;
        let catch_up = (State::Queued, Trigger::CatchUp, SkipReason::Unspecified, 0);
        let missed = (State::Skipped, Trigger::Scheduled, SkipReason::Missed, 1_439);
        assert_eq!(facts(&runs), [catch_up, missed]);
        assert_eq!(runs[1].schedule_time, export.next_run_time);
        let last = runs[1].last_schedule_time.expect("a last due time").seconds;
        assert_eq!(runs[0].schedule_time.expect("a due time").seconds, last + 60);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn due_times_of_a_blocked_export_are_one_record() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.local_directory("out").await;
        let export = admin.every_minute(&connection.name, OverlapPolicy::Skip).await;
        let suspend = pb::SuspendConnectionRequest { name: connection.name.clone(), ..Default::default() };
        admin.connections.suspend_connection(suspend).await.expect("suspended");
        for _ in 0..3 {
            pass(&server, TimeDelta::seconds(60)).await;
        }
        let skipped = (State::Skipped, Trigger::Scheduled, SkipReason::ConnectionSuspended, 3);
        let runs = admin.runs(&export.name).await;
        assert_eq!(facts(&runs), [skipped]);
        let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().expect("a time").seconds;
        assert!(seconds(&runs[0].end_time) >= seconds(&runs[0].create_time) + 120, "it ends with the last: {runs:?}");
        let resume = pb::ResumeConnectionRequest { name: connection.name, ..Default::default() };
        admin.connections.resume_connection(resume).await.expect("resumed");
        pass(&server, TimeDelta::zero()).await;
        assert_eq!(facts(&admin.runs(&export.name).await), [skipped], "nothing is caught up");
        pass(&server, TimeDelta::seconds(60)).await;
        assert_eq!(facts(&admin.runs(&export.name).await), [ON_TIME, skipped]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_during_an_unfinished_run_is_skipped_or_waits() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.local_directory("out").await;
        let skipping = admin.every_minute(&connection.name, OverlapPolicy::Skip).await;
        let buffering = admin.every_minute(&connection.name, OverlapPolicy::BufferOne).await;
        for _ in 0..4 {
            pass(&server, TimeDelta::seconds(60)).await;
        }
        // The first run waits for a runner, so a buffer of one is full as well.
        let overlap = (State::Skipped, Trigger::Scheduled, SkipReason::Overlap, 3);
        assert_eq!(facts(&admin.runs(&skipping.name).await), [overlap, ON_TIME]);
        assert_eq!(facts(&admin.runs(&buffering.name).await), [overlap, ON_TIME]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_export_is_not_scheduled() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.local_directory("out").await;
        let export = admin.every_minute(&connection.name, OverlapPolicy::Skip).await;
        let detach = pb::DetachExportRequest { name: export.name.clone(), ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        pass(&server, TimeDelta::minutes(10)).await;
        assert_eq!(facts(&admin.runs(&export.name).await), []);
        let attach =
            pb::AttachExportRequest { name: export.name.clone(), connection: connection.name, ..Default::default() };
        admin.exports.attach_export(attach).await.expect("attached");
        pass(&server, TimeDelta::zero()).await;
        assert_eq!(facts(&admin.runs(&export.name).await), [], "missed due times are not caught up");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_schedulers_turn_a_due_time_into_one_run() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.local_directory("out").await;
        let mut exports = Vec::new();
        for _ in 0..60 {
            exports.push(admin.every_minute(&connection.name, OverlapPolicy::Skip).await.name);
        }
        server.clock.advance(TimeDelta::seconds(90));
        let scheduled = (0..4).map(async |_| {
            let scheduler = Scheduler::new(&server.app, Arc::default());
            for _ in 0..4 {
                scheduler.run_once().await.expect("scheduled");
            }
        });
        futures_util::future::join_all(scheduled).await;
        for export in exports {
            assert_eq!(facts(&admin.runs(&export).await), [ON_TIME]);
        }
    })
    .await;
}
