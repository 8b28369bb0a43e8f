//! CLOCK: the clocks of replicas jump, and differ from each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use outflow::background::Task as _;
use outflow::grpc::proto as pb;
use outflow::runs::Scheduler;
use pb::schedule::OverlapPolicy;
use rand::RngExt as _;

use super::log::{RunLog, attempts_of_succeeded};
use super::{uid_of, until_all_ended};
use crate::runs::shared::{Shared, results_below};
use crate::support::{Backend, Clients as _, Gate, TestServer};

/// Exports that are due every minute.
const EXPORTS: usize = 6;
/// How far a clock is from the machine's at most.
const MAX_OFFSET_MINUTES: i64 = 180;
/// The longest real time between two jumps.
const MAX_PAUSE_MS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn no_due_time_is_delivered_twice_when_clocks_jump() {
    let shared = Shared::new(Backend::Postgres, &[]).await;
    let control = shared.server(&[("runs", "off")]).await;
    let replicas = [shared.server(&[]).await, shared.server(&[]).await];
    let mut admin = control.admin().await;
    let mut exports = Vec::new();
    for number in 0..EXPORTS {
        let connection = admin.local_directory(&format!("partner{number}")).await.name;
        exports.push(admin.every_minute(&connection, OverlapPolicy::Skip).await);
    }
    let log = RunLog::begin(control.database().await).await;
    let (gate, mut offsets) = (Gate::new("CLOCK", 200), [0_i64; 2]);
    while let Some(round) = gate.next() {
        let (replica, jump, pause, export) = {
            let mut random = rand::rng();
            let jumps = [-60, 60, -1, 1, 1];
            let jump = jumps[random.random_range(0..jumps.len())];
            (random.random_range(0..2), jump, random.random_range(0..MAX_PAUSE_MS), random.random_range(0..EXPORTS))
        };
        if (offsets[replica] + jump).abs() <= MAX_OFFSET_MINUTES {
            offsets[replica] += jump;
            replicas[replica].clock.advance(TimeDelta::minutes(jump));
        }
        schedule(&replicas).await;
        if round % 2 == 0 {
            // A changed schedule is computed again from the present: due times that passed may come again.
            let mut changed = exports[export].clone();
            changed.etag = String::new();
            let schedule = changed.schedule.as_mut().expect("a schedule");
            schedule.catchup_window =
                Some(prost_types::Duration { seconds: 3_600 + i64::try_from(round).expect("a number"), nanos: 0 });
            let request = pb::UpdateExportRequest { export: Some(changed), ..Default::default() };
            admin.exports.update_export(request).await.expect("updated");
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    // The clocks agree in the end, later than each of them was.
    for (replica, offset) in replicas.iter().zip(offsets) {
        replica.clock.advance(TimeDelta::minutes(MAX_OFFSET_MINUTES + 1 - offset));
    }
    schedule(&replicas).await;
    until_all_ended(log.database()).await;

    let attempts = attempts_of_succeeded(&log.changes().await);
    let results = results_below(&shared.outbox);
    let delivered: BTreeSet<_> = results.iter().map(|result| uid_of(&result.manifest.run)).collect();
    assert_eq!(results.len(), attempts.len(), "one result for each run");
    assert_eq!(delivered, attempts.keys().copied().collect());
    let due_times: BTreeSet<_> =
        results.iter().map(|result| (&result.manifest.export, &result.manifest.time)).collect();
    assert_eq!(due_times.len(), results.len(), "a due time was delivered twice");
    let repeated = attempts.values().filter(|attempts| **attempts > 1).count();
    gate.report(&format!(" jumps; {} due times delivered, {repeated} of them by a second attempt", results.len()));
}

/// Lets each replica schedule now.
async fn schedule(replicas: &[TestServer]) {
    for replica in replicas {
        Scheduler::new(&replica.app, Arc::default()).run_once().await.expect("scheduled");
    }
}
