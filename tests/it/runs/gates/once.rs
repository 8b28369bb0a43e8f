//! ONCE: replicas are killed at any moment, and each due time is delivered once.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt as _;

use super::log::{RunLog, attempts_of_succeeded};
use super::{SHORT_LEASE, create_all, due_once, make_due, uid_of, until, until_all_ended};
use crate::runs::shared::{Shared, export_of, in_files_of, results_below};
use crate::support::{Backend, Clients as _, Gate};

/// The number of processes on one database.
const REPLICAS: usize = 4;
/// Connections of the exports: each permits four runs at once.
const CONNECTIONS: usize = 4;
/// Rows of each export.
const ROWS: usize = 20_000;
/// Files of an export with several.
const FILES: usize = 20;
/// The longest time from a moment with enough ended runs to a kill.
const MAX_DELAY_MS: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn each_due_time_is_delivered_once_while_replicas_are_killed() {
    let (exports, kills) = if Gate::is_full() { (2_000, 20) } else { (200, 10) };
    let count = i64::try_from(exports).expect("a count");
    let shared = Shared::new(Backend::Postgres, &SHORT_LEASE).await;
    shared.add_table("members", ROWS);
    let control = shared.server(&[("runs", "off")]).await;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        connections.push(control.admin().await.local_directory(&format!("partner{number}")).await.name);
    }
    let new = |number: usize| {
        let export = due_once(export_of(&connections[number % CONNECTIONS], "members", Vec::new(), "weekly"));
        // Every third one has several files.
        if number.is_multiple_of(3) { in_files_of(ROWS / FILES, export) } else { export }
    };
    assert_eq!(create_all(&control, (0..exports).map(new).collect()).await.len(), exports);
    let log = RunLog::begin(control.database().await).await;
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(shared.process(&[]).await);
    }

    let gate = Gate::new("ONCE", kills);
    make_due(log.database()).await;
    // The kills are spread over all runs.
    while let Some(kill) = gate.next() {
        let wanted = i64::try_from(exports as u64 * kill / kills).expect("a count");
        let ended = "SELECT count(*) FROM runs WHERE state = 'SUCCEEDED'";
        until("runs that ended", async || log.database().fetch_count(ended).await >= wanted).await;
        let (delay, victim) = {
            let mut random = rand::rng();
            (random.random_range(0..MAX_DELAY_MS), random.random_range(0..REPLICAS))
        };
        tokio::time::sleep(Duration::from_millis(delay)).await;
        // A process is killed when it is dropped.
        drop(replicas.remove(victim));
        replicas.push(shared.process(&[]).await);
    }
    until("all runs", async || log.database().fetch_count("SELECT count(*) FROM runs").await == count).await;
    until_all_ended(log.database()).await;

    let attempts = attempts_of_succeeded(&log.changes().await);
    assert_eq!(attempts.len(), exports, "one run for each due time");
    let due_times = "SELECT count(*) FROM (SELECT DISTINCT export_uid, schedule_time FROM runs \
                     WHERE trigger IN ('SCHEDULED', 'CATCH_UP')) AS due";
    assert_eq!(log.database().fetch_count(due_times).await, count);
    let results = results_below(&shared.outbox);
    assert_eq!(results.len(), exports, "one result for each run");
    assert!(results.iter().all(|result| result.manifest.rows == ROWS as u64));
    let delivered: BTreeSet<_> = results.iter().map(|result| uid_of(&result.manifest.run)).collect();
    assert_eq!(delivered, attempts.keys().copied().collect());
    let repeated = attempts.values().filter(|attempts| **attempts > 1).count();
    gate.report(&format!(" kills of {REPLICAS} replicas; {exports} due times, {repeated} runs repeated"));
}
