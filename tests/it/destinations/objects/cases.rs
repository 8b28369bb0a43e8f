//! What every object store must hold.

use std::sync::Arc;

use outflow::delivery::destinations::{Check, CheckOutcome, CheckStep, Destination, Opened};
use outflow::delivery::{Chunk, Manifest};
use outflow::model::FailureCode;
use rand::RngExt as _;

use super::bucket::{Bucket, destination, destination_through, objects_below, uploads_below};
use super::cut::CutProxy;
use super::export::{Export, Log, file, open};
use super::tls::network;
use crate::support::Gate;

const MIB: usize = 1024 * 1024;

/// How often a connection is cut.
const CUTS: u64 = 20;

/// Bytes at the end of a delivery among which every other cut is: the requests of the commit.
const COMMIT_BYTES: u64 = 8 * 1024;

/// Asserts that a prefix holds the files of an export and its manifest, and no upload.
async fn assert_delivered(bucket: &dyn Bucket, prefix: &str, export: &Export) {
    assert_files(bucket, prefix, export).await;
    assert_eq!(uploads_below(bucket, prefix).await, 0);
}

/// Asserts that the objects below a prefix are the files of an export and its manifest.
async fn assert_files(bucket: &dyn Bucket, prefix: &str, export: &Export) {
    let mut objects = objects_below(bucket, prefix).await;
    let manifest = objects.remove(&export.manifest_path).expect("a manifest");
    let manifest: Manifest = serde_json::from_slice(&manifest).expect("a manifest");
    assert_eq!(manifest, export.manifest());
    for (path, content) in &export.files {
        assert!(objects.remove(path).as_ref() == Some(content), "{path} is not what was written");
    }
    assert!(objects.is_empty(), "{:?}", objects.keys());
}

/// Nothing is visible before the commit, everything after it, and the same run changes nothing, even if its export was edited.
pub async fn files_become_visible_at_the_commit(bucket: &dyn Bucket) {
    let exports = [
        ("empty", Export::single("weekly.csv", 0)),
        ("small", Export::single("weekly.csv", 100)),
        ("one-part", Export::single("weekly.csv", 8 * MIB)),
        ("large", Export::single("weekly.csv.zst", 20 * MIB + 1)),
        ("several", Export::several(&[9 * MIB, 0, 6 * MIB, 6 * MIB, 6 * MIB, 1000])),
    ];
    for (prefix, export) in exports {
        let log = Arc::default();
        let to = destination(bucket, prefix);
        let mut writer = open(to.as_ref(), &export.attempt(0, &log)).await;
        export.write(writer.as_mut()).await.expect("written");
        assert!(objects_below(bucket, prefix).await.is_empty(), "{prefix}");
        writer.commit(&export.manifest()).await.expect("committed");
        assert_delivered(bucket, prefix, &export).await;
        for again in [&export, &export.moved()] {
            match to.open(&again.attempt(1, &log)).await.expect("opened") {
                Opened::AlreadyDelivered(Some(manifest)) => assert_eq!(*manifest, export.manifest()),
                Opened::AlreadyDelivered(None) | Opened::Writer(_) => panic!("{prefix} is not known as delivered"),
            }
        }
        assert_delivered(bucket, prefix, &export).await;
    }
}

/// A file that holds the run in its name and became visible without its manifest is removed when the export was edited.
pub async fn a_file_of_an_edited_export_is_removed(bucket: &dyn Bucket) {
    let (mut export, log) = (Export::single("weekly.csv", 100), Arc::<Log>::default());
    let path = format!("weekly-{}.csv", export.run);
    export.manifest_path = format!("{path}.manifest.json");
    export.files[0].0 = path;
    let to = destination(bucket, "edited");
    export.deliver(to.as_ref(), &export.attempt(0, &log)).await.expect("delivered");
    // As if the process had been killed between the two.
    bucket.delete(&format!("edited/{}", export.manifest_path)).await;
    let moved = export.moved();
    moved.deliver(to.as_ref(), &moved.attempt(1, &log)).await.expect("delivered");
    assert_delivered(bucket, "edited", &moved).await;
}

/// A later run with the same name replaces the file and its manifest.
pub async fn a_later_run_replaces_a_file_of_the_same_name(bucket: &dyn Bucket) {
    let to = destination(bucket, "replaced");
    for bytes in [9 * MIB, 10, 17 * MIB, 20] {
        let export = Export::single("weekly.csv", bytes);
        export.deliver(to.as_ref(), &export.attempt(0, &Arc::default())).await.expect("delivered");
        assert_delivered(bucket, "replaced", &export).await;
    }
}

/// An abort leaves nothing, at any point.
pub async fn an_abort_leaves_nothing(bucket: &dyn Bucket) {
    let to = destination(bucket, "aborted");
    for export in [Export::single("weekly.csv", 20 * MIB), Export::several(&[9 * MIB, 10, 9 * MIB])] {
        let log = Arc::default();
        let mut writer = open(to.as_ref(), &export.attempt(0, &log)).await;
        export.write(writer.as_mut()).await.expect("written");
        // In the middle of a further file.
        writer.start_file(&file("another.csv")).await.expect("begun");
        let bytes = export.files[0].1.clone();
        writer.write(Chunk { bytes, rows: 1 }).await.expect("written");
        writer.abort().await;
        assert!(objects_below(bucket, "aborted").await.is_empty());
        assert_eq!(uploads_below(bucket, "aborted").await, 0);
    }
}

/// The next attempt removes the uploads of a lost one, which then cannot commit any more. So does the background task.
pub async fn uploads_of_a_lost_attempt_are_removed(bucket: &dyn Bucket, begins_uploads: bool) {
    let (export, log) = (Export::single("weekly.csv", 20 * MIB), Arc::<Log>::default());
    let to = destination(bucket, "lost");
    let mut lost = open(to.as_ref(), &export.attempt(0, &log)).await;
    export.write(lost.as_mut()).await.expect("written");
    assert_eq!(uploads_below(bucket, "lost").await, usize::from(begins_uploads));
    let mut next = open(to.as_ref(), &export.attempt(1, &log)).await;
    assert_eq!(uploads_below(bucket, "lost").await, 0);
    export.write(next.as_mut()).await.expect("written");
    if begins_uploads {
        let error = lost.commit(&export.manifest()).await.expect_err("its upload is gone");
        assert_eq!(error.code, FailureCode::DestinationUnreachable, "{error}");
        assert!(objects_below(bucket, "lost").await.is_empty());
    }
    next.commit(&export.manifest()).await.expect("committed");
    assert_delivered(bucket, "lost", &export).await;

    let (export, log) = (Export::several(&[9 * MIB, 10, 9 * MIB]), Arc::<Log>::default());
    let to = destination(bucket, "ended");
    let mut lost = open(to.as_ref(), &export.attempt(0, &log)).await;
    export.write(lost.as_mut()).await.expect("written");
    drop(lost);
    assert_eq!(uploads_below(bucket, "ended").await, if begins_uploads { 2 } else { 0 });
    for _ in 0..2 {
        to.remove_staged(&log.saved().unwrap_or_default()).await.expect("removed");
        assert_eq!(uploads_below(bucket, "ended").await, 0);
    }
    // It never removes a result.
    export.deliver(to.as_ref(), &export.attempt(1, &log)).await.expect("delivered");
    to.remove_staged(&log.saved().expect("a state")).await.expect("nothing to remove");
    assert_delivered(bucket, "ended", &export).await;
}

/// A connection that is cut at random points never leaves a part of a file, and the next attempt delivers once.
pub async fn cut_connections_leave_whole_files_or_none(bucket: &dyn Bucket, name: &str) {
    let exports: [fn(u64) -> Export; 2] =
        [|round| Export::single(&format!("weekly-{round}.csv"), 9 * MIB), |_| Export::several(&[9 * MIB, 10_000, 100])];
    let mut sent = Vec::new();
    for export in exports {
        let (proxy, export) = (CutProxy::start(bucket.address()).await, export(0));
        let to = destination_through(bucket, proxy.address, "uncut");
        export.deliver(to.as_ref(), &export.attempt(0, &Arc::default())).await.expect("delivered");
        sent.push(proxy.sent());
    }
    let gate = Gate::new(format!("CUT, {name}"), CUTS);
    let (mut failed, mut visible) = (0, 0);
    while let Some(round) = gate.next() {
        let shape = usize::from(round % 2 == 1);
        let end = sent[shape];
        let start = if round % 4 < 2 { 0 } else { end - COMMIT_BYTES };
        let cut = rand::rng().random_range(start..end);
        let (prefix, export, log) = (format!("cut-{round}"), exports[shape](round), Arc::<Log>::default());
        let proxy = CutProxy::start(bucket.address()).await;
        let to = destination_through(bucket, proxy.address, &prefix);
        proxy.cut_after(cut);
        let delivered = export.deliver(to.as_ref(), &export.attempt(0, &log)).await;
        let objects = objects_below(bucket, &prefix).await;
        for (path, content) in objects.iter().filter(|(path, _)| **path != export.manifest_path) {
            let whole = export.files.iter().any(|(written, whole)| written == path && whole == content);
            assert!(whole, "{path} is not whole after a cut at {cut} of {end}");
        }
        if objects.contains_key(&export.manifest_path) {
            assert_files(bucket, &prefix, &export).await;
        } else {
            let error = delivered.expect_err("it has no manifest");
            assert_eq!(error.code, FailureCode::DestinationUnreachable, "{error}");
            assert!(error.code.is_retryable());
            failed += 1;
        }
        visible += usize::from(!objects.is_empty());
        // The response with the id of an upload may have been cut. Nobody knows such an upload.
        let saved = log.saved().unwrap_or_default();
        let uploads = bucket.uploads().await.into_iter().filter(|key| key.starts_with(&format!("{prefix}/")));
        let unknown = uploads.filter(|key| !saved.contains(key.as_str())).count();
        proxy.heal();
        // Every other time the run ends without another attempt, and of several files nothing remains.
        if shape == 1 && round % 4 == 1 {
            to.remove_staged(&log.saved().unwrap_or_default()).await.expect("removed");
            let left = objects_below(bucket, &prefix).await;
            assert!(left.is_empty() || left.contains_key(&export.manifest_path), "{:?}", left.keys());
        }
        export.deliver(to.as_ref(), &export.attempt(1, &log)).await.expect("delivered");
        assert_files(bucket, &prefix, &export).await;
        assert_eq!(uploads_below(bucket, &prefix).await, unknown);
    }
    gate.report(&format!(", {failed} deliveries failed, {visible} had left objects"));
}

/// The steps and their outcomes.
fn outcomes(checks: &[Check]) -> Vec<(CheckStep, Option<FailureCode>)> {
    let failure = |check: &Check| match &check.outcome {
        CheckOutcome::Failed { code, found_host_key: None } => Some(*code),
        CheckOutcome::Failed { found_host_key: Some(_), .. } => panic!("{check:?}"),
        CheckOutcome::Passed | CheckOutcome::Skipped => None,
    };
    checks.iter().map(|check| (check.step, failure(check))).collect()
}

/// Asserts that a test fails at a step, and skips those after it.
pub async fn assert_fails(to: &dyn Destination, step: CheckStep, code: FailureCode) {
    let checks = to.test().await;
    let failed = checks.iter().position(|check| check.step == step).expect("a step");
    for (index, check) in checks.iter().enumerate() {
        match index.cmp(&failed) {
            std::cmp::Ordering::Less => assert_eq!(check.outcome, CheckOutcome::Passed, "{checks:?}"),
            std::cmp::Ordering::Equal => assert_eq!(outcomes(&checks)[index].1, Some(code), "{checks:?}"),
            std::cmp::Ordering::Greater => assert_eq!(check.outcome, CheckOutcome::Skipped, "{checks:?}"),
        }
    }
}

/// A test names the step that fails, and leaves nothing.
pub async fn a_test_names_the_step_that_fails(bucket: &dyn Bucket) {
    let to = destination(bucket, "tested");
    let steps = [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];
    let checks = to.test().await;
    assert_eq!(outcomes(&checks), steps.map(|step| (step, None)));
    assert!(checks.iter().all(|check| check.outcome == CheckOutcome::Passed), "{checks:?}");
    assert!(objects_below(bucket, "tested").await.is_empty());
    assert_eq!(uploads_below(bucket, "tested").await, 0);

    let target = bucket.target(bucket.address(), "tested");
    let refused = bucket.build(&target, network(&[], None)).expect("a destination");
    assert_fails(refused.as_ref(), CheckStep::Resolve, FailureCode::AddressForbidden).await;
    let untrusted = bucket.build(&target, network(&["*=127.0.0.1"], None)).expect("a destination");
    assert_fails(untrusted.as_ref(), CheckStep::Tls, FailureCode::TlsFailed).await;
    let proxy = CutProxy::start(bucket.address()).await;
    proxy.cut_after(0);
    let cut = destination_through(bucket, proxy.address, "tested");
    assert_fails(cut.as_ref(), CheckStep::Tls, FailureCode::DestinationUnreachable).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let silent = destination_through(bucket, nobody, "tested");
    assert_fails(silent.as_ref(), CheckStep::Connect, FailureCode::DestinationUnreachable).await;

    // A delivery fails with the same codes.
    let export = Export::single("weekly.csv", 10);
    for (to, code) in [
        (refused, FailureCode::AddressForbidden),
        (untrusted, FailureCode::TlsFailed),
        (silent, FailureCode::DestinationUnreachable),
    ] {
        let error = export.deliver(to.as_ref(), &export.attempt(0, &Arc::default())).await.expect_err("no connection");
        assert_eq!(error.code, code, "{error}");
    }
}
