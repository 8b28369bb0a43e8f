//! DRAIN: a replica is told to stop while it delivers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt as _;

use super::log::{Change, RunLog, attempts_of_succeeded};
use super::{create_all, until, until_all_ended};
use crate::runs::shared::{Shared, export_of, results_below};
use crate::support::{Backend, Clients as _, Gate, TestServer};

/// Connections, with as many exports each as their type permits at once.
const CONNECTIONS: usize = 2;
const EXPORTS_PER_CONNECTION: usize = 4;
/// Rows of each export.
const ROWS: usize = 50_000;
/// The longest time from the request of the runs to the signal.
const MAX_DELAY_MS: u64 = 600;
/// The longest time to the signal if it waits until several runs are being delivered. Deliveries take longer.
const MAX_DELAY_IN_PROGRESS_MS: u64 = 50;
/// How long a replica may go on after the signal if its deliveries are interrupted.
const MAX_DURATION: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_replica_leaves_nothing_behind_and_no_attempt_is_lost() {
    let shared = Shared::new(Backend::Postgres, &[]).await;
    shared.add_table("members", ROWS);
    let control = shared.server(&[("runs", "off")]).await;
    let exports = exports(&control).await;
    let log = RunLog::begin(control.database().await).await;
    let (gate, mut interrupted, mut finished, mut longest) = (Gate::new("DRAIN", 20), 0, 0, Duration::ZERO);
    while let Some(round) = gate.next() {
        // Deliveries are interrupted in every second round, and finish in the others.
        let interrupts = round % 2 == 0;
        let timeout = if interrupts { "10ms" } else { "10m" };
        let replica = shared.process(&[("run_drain_timeout", timeout)]).await;
        let mut admin = control.admin().await;
        for export in &exports {
            admin.run(export).await.expect("queued");
        }
        let mut max_delay = MAX_DELAY_MS;
        if round % 4 < 2 {
            let running = "SELECT count(*) FROM runs WHERE state = 'RUNNING'";
            until("runs in progress", async || log.database().fetch_count(running).await > 2).await;
            max_delay = MAX_DELAY_IN_PROGRESS_MS;
        }
        let delay = rand::rng().random_range(0..max_delay);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let at_signal = last_changes(&log).await;
        let signalled = Instant::now();
        replica.signal("TERM");
        tokio::task::spawn_blocking(move || replica.wait_for_output()).await.expect("it exits with success");
        let duration = signalled.elapsed();

        let at_exit = last_changes(&log).await;
        check_exit(&at_exit);
        if interrupts {
            assert!(duration < MAX_DURATION, "{duration:?}");
            longest = longest.max(duration);
            interrupted += at_exit.values().filter(|change| change.after == "QUEUED" && change.attempt > 0).count();
        } else {
            for before in at_signal.values().filter(|change| change.after == "RUNNING") {
                let after = &at_exit[&before.run];
                assert_eq!((after.after.as_str(), after.attempt), ("SUCCEEDED", before.attempt), "{after:?}");
                finished += 1;
            }
        }
        let succeeded = at_exit.values().filter(|change| change.after == "SUCCEEDED").count();
        assert_eq!(results_below(&shared.outbox).len(), succeeded, "results of finished runs, and nothing else");
        let failures = "SELECT count(*) FROM runs WHERE failures > 0 OR failure_code IS NOT NULL";
        assert_eq!(log.database().fetch_count(failures).await, 0, "an attempt counts as failed");

        let next = shared.process(&[]).await;
        until_all_ended(log.database()).await;
        let attempts = attempts_of_succeeded(&log.changes().await);
        assert_eq!(results_below(&shared.outbox).len(), attempts.len(), "one result for each run");
        drop(next);
    }
    assert!(interrupted > 0 && finished > 0, "{interrupted} interrupted, {finished} finished");
    let figures =
        format!("{interrupted} deliveries interrupted and repeated, {finished} finished; {longest:.1?} at most");
    gate.report(&format!(" signals; {figures} when interrupted"));
}

async fn exports(control: &TestServer) -> Vec<String> {
    let mut exports = Vec::new();
    for number in 0..CONNECTIONS {
        let connection = control.admin().await.local_directory(&format!("partner{number}")).await.name;
        let new = |_| export_of(&connection, "members", Vec::new(), "weekly");
        exports.extend((0..EXPORTS_PER_CONNECTION).map(new));
    }
    create_all(control, exports).await
}

/// The last change of each run.
async fn last_changes(log: &RunLog) -> BTreeMap<uuid::Uuid, Change> {
    log.changes().await.into_iter().map(|change| (change.run, change)).collect()
}

/// Checks that every run has ended or waits, and that no lease is left.
fn check_exit(at_exit: &BTreeMap<uuid::Uuid, Change>) {
    for change in at_exit.values() {
        assert!(["QUEUED", "SUCCEEDED"].contains(&change.after.as_str()), "{change:?}");
        assert_eq!(change.owner, "", "{change:?}");
    }
}
