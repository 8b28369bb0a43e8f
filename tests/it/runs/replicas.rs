//! Several replicas on one database: one due time is one run, and limits hold for all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use chrono::TimeDelta;
use outflow::grpc::proto as pb;
use pb::export_run::{State, Trigger};
use pb::schedule::OverlapPolicy;

use super::shared::Shared;
use crate::support::{Backend, Clients as _};

/// Exports that are due at once.
const EXPORTS: usize = 40;
/// Runs at the same time on one connection to a local directory, as its type says.
const MAX_PER_CONNECTION: i64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn each_due_time_is_delivered_once_and_limits_hold_for_all_replicas() {
    let shared = Shared::new(Backend::Postgres, &[]).await;
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(shared.server(&[]).await);
    }
    let first = &servers[0];
    let mut admin = first.admin().await;
    let connection = admin.local_directory("partner").await;
    let mut exports = Vec::new();
    for _ in 0..EXPORTS {
        exports.push(admin.every_minute(&connection.name, OverlapPolicy::Skip).await.name);
    }
    // Counts the runs in progress until all have ended.
    let (database, ended) = (first.database().await, Arc::new(AtomicBool::new(false)));
    let most = Arc::new(AtomicI64::new(0));
    let counting = {
        let (ended, most) = (Arc::clone(&ended), Arc::clone(&most));
        tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                let running = database.fetch_count("SELECT count(*) FROM runs WHERE state = 'RUNNING'").await;
                most.fetch_max(running, Ordering::Relaxed);
            }
        })
    };
    for server in &servers {
        server.clock.advance(TimeDelta::seconds(65));
    }
    for export in &exports {
        let started = loop {
            if let [run] = admin.runs(export).await.as_slice() {
                break run.clone();
            }
        };
        let run = admin.follow(&started.name).await;
        assert_eq!((run.state(), run.trigger(), run.attempt), (State::Succeeded, Trigger::Scheduled, 1), "{run:?}");
    }
    ended.store(true, Ordering::Relaxed);
    counting.await.expect("counted");
    let most = most.load(Ordering::Relaxed);
    assert!((1..=MAX_PER_CONNECTION).contains(&most), "{most} runs at the same time");
    let files = std::fs::read_dir(shared.outbox.join("partner/weekly")).expect("files");
    let names: Vec<_> = files.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with(".csv.zst")).count(), EXPORTS);
    assert_eq!(names.len(), 2 * EXPORTS, "nothing but files and manifests");
}
