//! FENCE: a replica is stopped while it delivers, another one repeats its runs, and the first one goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use uuid::Uuid;

use super::log::{RunLog, attempts_of_succeeded};
use super::{SHORT_LEASE, create_all, uid_of, until, until_all_ended};
use crate::runs::shared::{Shared, export_of, results_below};
use crate::support::{Backend, Clients as _, Gate, Process};

/// Runs in each round.
const RUNS: usize = 4;
/// Rows of each export.
const ROWS: usize = 50_000;
/// Twice the lease.
const STOP: Duration = Duration::from_secs(2);
/// The longest time from the start of a run to the stop of its replica.
const MAX_DELAY_MS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replica_completes_nothing_after_its_lease() {
    let shared = Shared::new(Backend::Postgres, &SHORT_LEASE).await;
    shared.add_table("members", ROWS);
    let control = shared.server(&[("runs", "off")]).await;
    let mut admin = control.admin().await;
    let connection = admin.local_directory("partner").await.name;
    let new = |_| export_of(&connection, "members", Vec::new(), "weekly");
    let exports = create_all(&control, (0..RUNS).map(new).collect()).await;
    let log = RunLog::begin(control.database().await).await;

    // The first replica is alone at first, so that its runs tell its identity.
    let first = shared.process(&[]).await;
    let run = uid_of(&admin.run(&exports[0]).await.expect("queued").name);
    until_all_ended(log.database()).await;
    let leased = log.changes_of(run).await.into_iter().find(|change| change.after == "RUNNING").expect("a lease");
    let second = shared.process(&[]).await;

    let (gate, mut rounds, mut stale) = (Gate::new("FENCE", 50), 0, 0);
    while gate.next().is_some() {
        let mut runs = Vec::new();
        for export in &exports {
            runs.push(uid_of(&admin.run(export).await.expect("queued").name));
        }
        let owner = stop_a_replica(&log, runs[0], |owner| if owner == leased.owner { &first } else { &second }).await;
        until_all_ended(log.database()).await;
        let attempts = attempts_of_succeeded(&log.changes().await);
        for run in runs {
            let changes = log.changes_of(run).await;
            let owners = changes.iter().filter(|change| change.after == "RUNNING" && !change.renewed);
            stale += u64::from(attempts[&run] > 1 && owners.into_iter().any(|change| change.owner == owner));
        }
        rounds += 1;
    }
    // What the stopped ones noticed late they have removed when they have ended.
    for replica in [first, second] {
        replica.signal("TERM");
        let output = tokio::task::spawn_blocking(move || replica.wait_for_output()).await.expect("its output");
        assert!(!output.contains("panicked"), "{output}");
    }
    let attempts: BTreeMap<Uuid, i64> = attempts_of_succeeded(&log.changes().await);
    let results = results_below(&shared.outbox);
    let delivered: Vec<_> = results.iter().map(|(_, manifest, _)| uid_of(&manifest.run)).collect();
    assert_eq!(delivered.len(), attempts.len(), "one result for each run");
    assert!(attempts.keys().all(|run| delivered.contains(run)));
    assert!(results.iter().all(|(_, manifest, _)| manifest.rows == ROWS as u64));
    assert!(stale > 0, "no run was repeated in {rounds} rounds");
    gate.report(&format!(" stops of a replica, {stale} attempts were overtaken, 0 of them completed"));
}

/// Stops the replica that delivers a run for twice its lease, at a random moment, and returns its identity.
async fn stop_a_replica<'a>(log: &RunLog, run: Uuid, replica: impl Fn(&str) -> &'a Process) -> String {
    until("the lease of a run", async || log.state(run).await.0 != "QUEUED").await;
    let leased = log.changes_of(run).await.into_iter().find(|change| change.after == "RUNNING").expect("a lease");
    let delay = rand::rng().random_range(0..MAX_DELAY_MS);
    tokio::time::sleep(Duration::from_millis(delay)).await;
    let replica = replica(&leased.owner);
    replica.signal("STOP");
    tokio::time::sleep(STOP).await;
    replica.signal("CONT");
    leased.owner
}
