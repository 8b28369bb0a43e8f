//! The destination `local_directory`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use outflow::delivery::OutputFormat;
use outflow::delivery::destinations::local_directory::LocalDirectory;
use outflow::delivery::destinations::{CheckOutcome, CheckStep, Destination, Opened};
use outflow::model::FailureCode;
use serde_json::json;
use uuid::Uuid;

use super::content::{
    Content, assert_edits_are_noticed, assert_remains_are_removed, folder, read_files, target, writer,
};
use super::tmpfs::Tmpfs;

/// A destination that writes to `<root>/acme/partners/weekly`, and that directory.
fn destination(root: &Path) -> (LocalDirectory, PathBuf) {
    let target = target(&json!({"directory": "partners"}), &folder("weekly"), None);
    let destination = LocalDirectory::new(Some(root.to_owned()), &target).expect("a destination");
    (destination, root.join("acme/partners/weekly"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_single_file_appears_with_its_manifest_and_the_same_run_is_recognized() {
    let root = tempfile::tempdir().expect("a directory");
    let (destination, directory) = destination(root.path());
    assert_eq!(destination.format(), OutputFormat::Files);
    let (run, content) = (Uuid::now_v7(), Content::single("customers.csv", 2_500_000, 1));
    let mut attempt = writer(&destination, &content.delivery(run, 0)).await;
    content.write(attempt.as_mut()).await.expect("written");
    let staged: Vec<String> = read_files(&directory).into_keys().collect();
    assert_eq!(staged, [format!(".customers.csv.part-{run}-0")], "nothing is visible before the commit");
    attempt.commit(&content.manifest(run)).await.expect("committed");
    content.assert_delivered(&directory, run);
    assert_eq!(mode(&directory.join("customers.csv")), 0o640);
    assert_eq!(mode(&directory), 0o750);
    attempt.abort().await;
    content.assert_delivered(&directory, run);

    assert!(!content.deliver(&destination, run, 1).await.expect("recognized"));
    let (other_run, other) = (Uuid::now_v7(), Content::single("customers.csv", 1_000, 2));
    assert!(other.deliver(&destination, other_run, 0).await.expect("replaced"));
    other.assert_delivered(&directory, other_run);
}

#[tokio::test]
async fn several_files_appear_with_the_commit_and_an_aborted_attempt_leaves_nothing() {
    let root = tempfile::tempdir().expect("a directory");
    let (destination, directory) = destination(root.path());
    let run = Uuid::now_v7();
    let content = Content::several(run, 300_000, 1);
    let mut aborted = writer(&destination, &content.delivery(run, 0)).await;
    content.write(aborted.as_mut()).await.expect("written");
    assert!(read_files(&directory).keys().all(|path| path.contains("/.part-00")), "nothing is visible");
    aborted.abort().await;
    assert_eq!(fs::read_dir(root.path()).expect("the root").count(), 0, "no file and no folder is left");

    assert!(content.deliver(&destination, run, 1).await.expect("delivered"));
    content.assert_delivered(&directory, run);
    assert!(!content.deliver(&destination, run, 2).await.expect("recognized"));
}

#[tokio::test]
async fn what_a_lost_attempt_left_is_removed_if_no_other_attempt_follows() {
    let root = tempfile::tempdir().expect("a directory");
    let (destination, directory) = destination(root.path());
    let of_connection = target(&json!({"directory": "partners"}), &json!({}), None);
    let later = LocalDirectory::new(Some(root.path().to_owned()), &of_connection).expect("a destination");
    assert_remains_are_removed(&destination, &later, &directory).await;
}

#[tokio::test]
async fn an_attempt_after_an_edit_knows_the_names_of_the_one_before() {
    let root = tempfile::tempdir().expect("a directory");
    let (destination, directory) = destination(root.path());
    assert_edits_are_noticed(&destination, &directory).await;
}

#[tokio::test]
async fn an_attempt_removes_what_earlier_attempts_of_its_run_left_and_nothing_else() {
    let root = tempfile::tempdir().expect("a directory");
    let (destination, directory) = destination(root.path());
    let (run, other_run) = (Uuid::now_v7(), Uuid::now_v7());
    let content = Content::single("customers.csv", 1_000, 1);
    // Attempts that end without an abort, as those of a process that was killed.
    for (run, attempt) in [(run, 0), (run, 1), (other_run, 0)] {
        let mut lost = writer(&destination, &content.delivery(run, attempt)).await;
        content.write(lost.as_mut()).await.expect("written");
    }
    drop(writer(&destination, &content.delivery(run, 2)).await);
    let left: Vec<String> = read_files(&directory).into_keys().collect();
    assert_eq!(left, [format!(".customers.csv.part-{other_run}-0")]);

    let several = Content::several(run, 1_000, 1);
    let mut lost = writer(&destination, &several.delivery(run, 0)).await;
    several.write(lost.as_mut()).await.expect("written");
    // A file that a commit renamed before it was interrupted, and that the next attempt does not write.
    let folder = directory.join(several.manifest_path.trim_end_matches("/_SUCCESS.json"));
    fs::write(folder.join("customers/part-00009.csv"), "row").expect("written");
    assert!(several.deliver(&destination, run, 1).await.expect("delivered"));
    fs::remove_file(directory.join(&left[0])).expect("removed");
    several.assert_delivered(&directory, run);
}

#[tokio::test]
async fn a_manifest_that_is_of_another_run_or_damaged_is_not_a_result() {
    let root = tempfile::tempdir().expect("a directory");
    let (destination, directory) = destination(root.path());
    let (run, content) = (Uuid::now_v7(), Content::single("customers.csv", 1_000, 1));
    assert!(content.deliver(&destination, run, 0).await.expect("delivered"));
    for manifest in ["", "{", "{\"run\":\"x\"}"] {
        fs::write(directory.join(&content.manifest_path), manifest).expect("written");
        assert!(matches!(destination.open(&content.delivery(run, 1)).await, Ok(Opened::Writer(_))), "{manifest}");
    }
    assert!(content.deliver(&destination, run, 1).await.expect("delivered"));
    content.assert_delivered(&directory, run);
}

#[tokio::test]
async fn paths_that_lead_out_of_the_directory_are_refused() {
    let (root, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let escaping = target(&json!({"directory": "../other"}), &json!({}), None);
    assert!(LocalDirectory::new(Some(root.path().to_owned()), &escaping).is_err());
    let (destination, directory) = destination(root.path());
    let content = Content::single("../customers.csv", 10, 1);
    assert_eq!(content.deliver(&destination, Uuid::now_v7(), 0).await.expect_err("").code, FailureCode::Internal);

    fs::create_dir_all(directory.parent().expect("a parent")).expect("created");
    std::os::unix::fs::symlink(other.path(), &directory).expect("linked");
    let content = Content::single("customers.csv", 10, 1);
    let error = content.deliver(&destination, Uuid::now_v7(), 0).await.expect_err("refused");
    assert_eq!(error.code, FailureCode::DestinationDenied, "{error}");
    assert_eq!(fs::read_dir(other.path()).expect("a directory").count(), 0);
}

#[tokio::test]
async fn a_full_disk_is_reported_and_nothing_is_left() {
    let disk = Tmpfs::mount(1024);
    let (destination, _) = destination(disk.path());
    let content = Content::single("customers.csv", 3_000_000, 1);
    let error = content.deliver(&destination, Uuid::now_v7(), 0).await.expect_err("full");
    assert_eq!(error.code, FailureCode::DestinationFull, "{error}");
    assert_eq!(fs::read_dir(disk.path()).expect("the root").count(), 0);
    let content = Content::single("customers.csv", 100_000, 1);
    assert!(content.deliver(&destination, Uuid::now_v7(), 0).await.expect("delivered"));
}

#[tokio::test]
async fn a_test_writes_and_removes_a_file_or_tells_why_it_cannot() {
    let root = tempfile::tempdir().expect("a directory");
    let (working, _) = destination(root.path());
    let steps = working.test().await;
    let outcome = |step| steps.iter().find(|check| check.step == step).map(|check| check.outcome.clone());
    assert_eq!(outcome(CheckStep::Write), Some(CheckOutcome::Passed));
    for step in [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate] {
        assert_eq!(outcome(step), Some(CheckOutcome::Skipped));
    }
    assert_eq!(fs::read_dir(root.path()).expect("the root").count(), 0, "nothing is left");

    let file = root.path().join("file");
    fs::write(&file, "").expect("written");
    let target = target(&json!({}), &json!({}), None);
    for (root, code) in [
        (None, FailureCode::DestinationDenied),
        (Some(root.path().join("missing")), FailureCode::DestinationUnreachable),
        (Some(file), FailureCode::DestinationRefused),
    ] {
        let destination = LocalDirectory::new(root, &target).expect("a destination");
        let failed = CheckOutcome::Failed { code, found_host_key: None };
        assert_eq!(destination.test().await.last().map(|check| check.outcome.clone()), Some(failed));
        let content = Content::single("customers.csv", 10, 1);
        assert_eq!(content.deliver(&destination, Uuid::now_v7(), 0).await.expect_err("refused").code, code);
    }
    let unset = LocalDirectory::new(None, &target).expect("a destination");
    let error = Content::single("f", 10, 1).deliver(&unset, Uuid::now_v7(), 0).await.expect_err("refused");
    assert!(error.detail.contains("local_directory_root"), "{error}");
}
