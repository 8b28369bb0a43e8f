//! LIMITS: many due runs on one connection, and several replicas that lease them.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::log::{RunLog, attempts_of_succeeded, most_leases_at_once};
use super::{create_all, due_once, make_due, sftp, until, until_all_ended};
use crate::destinations::sftp::OpenSsh;
use crate::runs::shared::{Shared, export_of, results_below};
use crate::support::{Backend, Clients as _, Gate, print_line};

/// The number of servers on one database.
const REPLICAS: usize = 4;
/// Runs at the same time on one connection to an SFTP server, as its type says.
const MAX_PER_CONNECTION: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn replicas_together_keep_the_limit_of_a_connection() {
    let exports: u32 = if Gate::is_full() { 200 } else { 40 };
    let shared = Shared::new(Backend::Postgres, &[sftp::ALLOWED]).await;
    let ssh = OpenSsh::start();
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(shared.server(&[]).await);
    }
    let directory = ssh.directory();
    let connection = replicas[0].admin().await.sftp_to(&ssh.login(), directory.to_str().expect("a path")).await.name;
    let new = |_| due_once(export_of(&connection, "customers", Vec::new(), "weekly"));
    create_all(&replicas[0], (0..exports).map(new).collect()).await;
    let log = RunLog::begin(replicas[0].database().await).await;

    let (database, ended, most, samples) =
        (replicas[0].database().await, AtomicBool::new(false), AtomicI64::new(0), AtomicI64::new(0));
    let sample = async || {
        while !ended.load(Ordering::Relaxed) {
            let query = "SELECT count(*) FROM runs WHERE state IN ('RUNNING', 'CANCELLING')";
            most.fetch_max(database.fetch_count(query).await, Ordering::Relaxed);
            samples.fetch_add(1, Ordering::Relaxed);
        }
    };
    let deliver = async {
        make_due(log.database()).await;
        let all = async || log.database().fetch_count("SELECT count(*) FROM runs").await == i64::from(exports);
        until("all runs", all).await;
        until_all_ended(log.database()).await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(deliver, sample());

    let changes = log.changes().await;
    assert_eq!(most_leases_at_once(&changes, |_| ()), MAX_PER_CONNECTION);
    assert_eq!(most.into_inner(), i64::try_from(MAX_PER_CONNECTION).expect("a count"));
    let attempts = attempts_of_succeeded(&changes);
    assert!(attempts.values().all(|attempts| *attempts == 1));
    assert_eq!(results_below(&directory).len(), exports as usize);
    let owners: std::collections::BTreeSet<_> = changes.iter().map(|change| &change.owner).collect();
    print_line(&format!(
        "gate LIMITS: {exports} runs by {} replicas, at most {MAX_PER_CONNECTION} at once in {} samples and in the log",
        owners.len() - 1,
        samples.into_inner()
    ));
}
