//! Runs while replicas are killed, stopped and drained, while calls take exports away, and while clocks jump: many rounds
//! each.

mod clock;
mod detach;
mod drain;
mod fence;
mod idle;
mod limits;
mod log;
mod once;
mod overlap;
mod sftp;

use std::time::Duration;

use outflow::grpc::proto as pb;
use outflow::model::Clock;
use uuid::Uuid;

use crate::support::{Clients as _, Database, TestServer};

/// The time between two looks at a condition that is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How long a gate waits for all of its runs.
const TIMEOUT: Duration = Duration::from_mins(5);
/// Calls at the same time.
const CALLS: usize = 8;
/// The interval of schedules that are due once in a gate.
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// A short lease and its heartbeat.
const SHORT_LEASE: [(&str, &str); 2] = [("run_lease", "1s"), ("run_heartbeat", "300ms")];

/// Waits until a condition holds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(TIMEOUT, waiting).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"));
}

/// Waits until every run has ended.
async fn until_all_ended(database: &Database) {
    let unfinished = "SELECT count(*) FROM runs WHERE state IN ('QUEUED', 'RUNNING', 'CANCELLING')";
    until("the end of all runs", async || database.fetch_count(unfinished).await == 0).await;
}

/// Creates exports by calls, and returns their names in no particular order.
async fn create_all(server: &TestServer, exports: Vec<pb::Export>) -> Vec<String> {
    let exports = parking_lot::Mutex::new(exports);
    let worker = async |_| {
        let mut admin = server.admin().await;
        let mut names = Vec::new();
        loop {
            let next = exports.lock().pop();
            let Some(export) = next else { return names };
            names.push(admin.create(export).await);
        }
    };
    futures_util::future::join_all((0..CALLS).map(worker)).await.concat()
}

/// An export that was due once a minute ago and that is not due again for a day. It has to be made due.
fn due_once(export: pb::Export) -> pb::Export {
    let anchor = Clock::default().now().timestamp() - 60;
    let interval = pb::schedule::Interval {
        every: Some(prost_types::Duration { seconds: DAY_SECONDS, nanos: 0 }),
        anchor: Some(prost_types::Timestamp { seconds: anchor, nanos: 0 }),
    };
    let schedule = pb::Schedule {
        timing: Some(pb::schedule::Timing::Interval(interval)),
        enabled: true,
        ..pb::Schedule::default()
    };
    pb::Export { schedule: Some(schedule), ..export }
}

/// Makes all exports of [`due_once`] due at once.
async fn make_due(database: &Database) {
    database.execute("UPDATE exports SET next_due_time = next_due_time - interval '1 day'").await;
}

/// The uid of a run in its name.
fn uid_of(run: &str) -> Uuid {
    run.rsplit('/').next().and_then(|uid| Uuid::try_parse(uid).ok()).expect("the name of a run")
}
