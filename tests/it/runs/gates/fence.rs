//! FENCE: a replica is stopped while it delivers, another one repeats its runs, and the first one goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt as _;
use uuid::Uuid;

use super::log::{RunLog, attempts_of_succeeded};
use super::{SHORT_LEASE, create_all, uid_of, until, until_all_ended};
use crate::runs::shared::{Shared, export_of, files_below, in_files_of, results_below};
use crate::support::{Backend, Clients as _, Gate, Process, TestServer};

/// Exports with a single file, and as many with several.
const EXPORTS: usize = 2;
/// Rows of each export.
const ROWS: usize = 50_000;
/// Files of an export with several, so that its commit takes a while.
const FILES: usize = 200;
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
    let exports = exports(&control).await;
    let log = RunLog::begin(control.database().await).await;

    // The first replica is alone at first, so that its runs tell its identity.
    let first = shared.process(&[]).await;
    let run = uid_of(&admin.run(&exports[0]).await.expect("queued").name);
    until_all_ended(log.database()).await;
    let owner = lease_of(&log, run).await;
    let second = shared.process(&[]).await;
    let replica = |found: &str| if found == owner { &first } else { &second };
    std::fs::remove_dir_all(&shared.outbox).expect("removed");

    let (gate, mut stale, mut in_commit) = (Gate::new("FENCE", 50), 0, 0);
    while let Some(round) = gate.next() {
        let mut runs = BTreeSet::new();
        for export in &exports {
            runs.insert(uid_of(&admin.run(export).await.expect("queued").name));
        }
        // In every second round the replica is stopped during a commit of several files.
        let stopped = if round % 2 == 0 {
            let run = *runs.first().expect("a run");
            until("the lease of a run", async || log.state(run).await.0 != "QUEUED").await;
            let delay = rand::rng().random_range(0..MAX_DELAY_MS);
            tokio::time::sleep(Duration::from_millis(delay)).await;
            lease_of(&log, run).await
        } else {
            in_commit += 1;
            lease_of(&log, until_commit(&shared, &runs).await).await
        };
        replica(&stopped).signal("STOP");
        tokio::time::sleep(STOP).await;
        replica(&stopped).signal("CONT");
        until_all_ended(log.database()).await;
        for run in &runs {
            stale += u64::from(until_attempts_ended(&log, *run, &stopped, &replica).await);
        }
        let results = results_below(&shared.outbox);
        let delivered: BTreeSet<_> = results.iter().map(|result| uid_of(&result.manifest.run)).collect();
        assert_eq!((results.len(), &delivered), (runs.len(), &runs), "one result for each run");
        assert!(results.iter().all(|result| result.manifest.rows == ROWS as u64));
        attempts_of_succeeded(&log.changes().await);
        std::fs::remove_dir_all(&shared.outbox).expect("removed");
    }
    assert!(stale > 0, "no attempt was overtaken");
    gate.report(&format!(
        " stops, {in_commit} during a commit; {stale} attempts were overtaken, none of them completed"
    ));
}

async fn exports(control: &TestServer) -> Vec<String> {
    let connection = control.admin().await.local_directory("partner").await.name;
    let new = |number| {
        let export = export_of(&connection, "members", Vec::new(), "weekly");
        if number < EXPORTS { export } else { in_files_of(ROWS / FILES, export) }
    };
    create_all(control, (0..2 * EXPORTS).map(new).collect()).await
}

/// The replica that leased a run first.
async fn lease_of(log: &RunLog, run: Uuid) -> String {
    let changes = log.changes_of(run).await;
    changes.into_iter().find(|change| change.after == "RUNNING").expect("a lease").owner
}

/// Waits until a run with several files has made some of them visible, and returns it.
async fn until_commit(shared: &Shared, runs: &BTreeSet<Uuid>) -> Uuid {
    let found = parking_lot::Mutex::new(None);
    until("a commit", async || {
        let files = files_below(&shared.outbox);
        let of_run = |run: &&Uuid| {
            let folder = format!("-{run}/");
            files.iter().any(|path| path.contains(&folder) && !path.contains(".part-"))
        };
        *found.lock() = runs.iter().find(of_run).copied();
        found.lock().is_some()
    })
    .await;
    found.into_inner().expect("a run")
}

/// Waits until the replicas have ended all attempts of a run. Returns whether the stopped one lost an attempt.
async fn until_attempts_ended<'a>(
    log: &RunLog,
    run: Uuid,
    stopped: &str,
    replica: &impl Fn(&str) -> &'a Process,
) -> bool {
    let changes = log.changes_of(run).await;
    let leases: Vec<_> =
        changes.iter().filter(|change| change.before == "QUEUED" && change.after == "RUNNING").collect();
    for lease in &leases {
        let of_owner = leases.iter().filter(|other| other.owner == lease.owner).count();
        let (run, output) = (run.to_string(), &replica(&lease.owner).output);
        until("the end of an attempt", async || {
            let output = output.lock().expect("its output");
            let is_end =
                |line: &&str| line.contains("delivered a run") || line.contains("an attempt of a run did not succeed");
            output.lines().filter(|line| line.contains(&run)).filter(is_end).count() >= of_owner
        })
        .await;
    }
    leases.len() > 1 && leases[..leases.len() - 1].iter().any(|lease| lease.owner == stopped)
}
