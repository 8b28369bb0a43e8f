//! OVERLAP: due times come faster than their runs are delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use outflow::background::Task as _;
use outflow::grpc::proto as pb;
use outflow::runs::Scheduler;
use pb::schedule::OverlapPolicy;
use rand::RngExt as _;
use uuid::Uuid;

use super::log::{Change, RunLog, attempts_of_succeeded, most_leases_at_once};
use super::{until, until_all_ended};
use crate::runs::shared::{Shared, results_below};
use crate::support::{Backend, Clients as _, Database, Gate};

/// Exports, half of them with each policy.
const EXPORTS: usize = 10;
/// Due times of each export.
const TICKS: u64 = 100;
/// The interval of their schedules.
const INTERVAL_SECONDS: i64 = 60;
/// The longest real time between two due times, which is shorter than a delivery.
const MAX_PAUSE_MS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_due_times_are_delivered_or_recorded() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        // A lease outlasts the jumps of the clock.
        let shared = Shared::new(backend, &[("run_lease", "10h")]).await;
        let mut servers = vec![shared.server(&[]).await];
        if backend == Backend::Postgres {
            servers.push(shared.server(&[]).await);
        }
        let mut admin = servers[0].admin().await;
        let mut connections = Vec::new();
        for number in 0..3 {
            connections.push(admin.local_directory(&format!("partner{number}")).await.name);
        }
        let mut buffering = BTreeSet::new();
        for number in 0..EXPORTS {
            let policy = if number % 2 == 0 { OverlapPolicy::Skip } else { OverlapPolicy::BufferOne };
            let export = admin.every_minute(&connections[number % connections.len()], policy).await;
            if policy == OverlapPolicy::BufferOne {
                buffering.insert(Uuid::try_parse(&export.uid).expect("a uid"));
            }
        }
        let log = RunLog::begin(servers[0].database().await).await;
        let gate = Gate::new(format!("OVERLAP {backend:?}"), TICKS);
        while let Some(tick) = gate.next() {
            for server in &servers {
                server.clock.advance(TimeDelta::seconds(INTERVAL_SECONDS));
            }
            for server in &servers {
                Scheduler::new(&server.app, Arc::default()).run_once().await.expect("scheduled");
            }
            // Every second due time follows at once, before any run of the one before can be delivered.
            if tick % 2 == 1 {
                let pause = rand::rng().random_range(0..MAX_PAUSE_MS);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        // The scheduler of another replica may still hold exports that the last call left to it.
        let now = servers[0].clock.now().timestamp();
        until("the handling of all due times", async || {
            Scheduler::new(&servers[0].app, Arc::default()).run_once().await.expect("scheduled");
            next_due_times(log.database(), backend).await.iter().all(|(.., next)| *next > now)
        })
        .await;
        until_all_ended(log.database()).await;

        let due_times = check_due_times(log.database(), backend).await;
        let changes = log.changes().await;
        assert_eq!(most_leases_at_once(&changes, |change| change.export), 1, "two runs of an export at once");
        check_waiting(&changes, &buffering);
        let attempts = attempts_of_succeeded(&changes);
        assert_eq!(results_below(&shared.outbox).len(), attempts.len(), "one result for each run");
        let ticks = gate.reached() * EXPORTS as u64;
        assert!(due_times as u64 >= ticks, "{due_times} due times after {ticks}");
        assert!(attempts.len() < due_times, "no run was due while another one was delivered");
        gate.report(&format!(" minutes; {due_times} due times, {} delivered, the others recorded", attempts.len()));
    }
}

/// A time in seconds, as an expression of the database. 0 without a time.
fn seconds(backend: Backend, column: &str) -> String {
    match backend {
        Backend::Sqlite => format!("coalesce(CAST(strftime('%s', {column}) AS integer), 0)"),
        Backend::Postgres => format!("coalesce(floor(extract(epoch FROM {column}))::bigint, 0)"),
    }
}

/// The exports, when they were created, and their next due times.
async fn next_due_times(database: &Database, backend: Backend) -> Vec<(Uuid, i64, i64)> {
    let (creation, next) = (seconds(backend, "create_time"), seconds(backend, "next_due_time"));
    database.fetch_rows(&format!("SELECT uid, {creation}, {next} FROM exports")).await
}

/// Checks that every due time before the next one of its export is a run or was skipped, once. Returns their number.
async fn check_due_times(database: &Database, backend: Backend) -> usize {
    let next = next_due_times(database, backend).await;
    let (first, last) = (seconds(backend, "schedule_time"), seconds(backend, "last_schedule_time"));
    let runs = format!("SELECT export_uid, {first}, {last}, due_count FROM runs");
    let runs: Vec<(Uuid, i64, i64, i64)> = database.fetch_rows(&runs).await;
    let mut total = 0;
    for (export, creation, next) in next {
        let mut times = Vec::new();
        for (_, first, last, count) in runs.iter().filter(|(of, ..)| *of == export) {
            let span: Vec<_> = (*first..=*last.max(first)).step_by(60).collect();
            assert_eq!(i64::try_from(span.len()), Ok(*count), "{first} to {last}");
            times.extend(span);
        }
        times.retain(|time| *time < next);
        times.sort_unstable();
        let expected: Vec<_> = (creation + INTERVAL_SECONDS..next).step_by(60).collect();
        assert_eq!(times, expected, "due times of {export}");
        total += times.len();
    }
    total
}

/// Checks that runs of other exports than the buffering ones never wait for another run, and that at most one run of these
/// does.
fn check_waiting(changes: &[Change], buffering: &BTreeSet<Uuid>) {
    let mut unfinished = BTreeMap::<Uuid, BTreeMap<Uuid, &str>>::new();
    for change in changes {
        let runs = unfinished.entry(change.export).or_default();
        if ["SUCCEEDED", "SKIPPED"].contains(&change.after.as_str()) {
            runs.remove(&change.run);
        } else {
            runs.insert(change.run, &change.after);
        }
        let waiting = runs.values().filter(|state| **state == "QUEUED").count();
        let max = if buffering.contains(&change.export) { 2 } else { 1 };
        assert!(waiting <= 1 && runs.len() <= max, "{runs:?} after {change:?}");
    }
}
