//! Complete and aborted deliveries.

use std::fs;

use outflow::delivery::destinations::Destination as _;
use outflow::model::FailureCode;
use serde_json::json;
use uuid::Uuid;

use super::super::content::{
    Content, assert_edits_are_noticed, assert_remains_are_removed, folder, read_files, writer,
};
use super::failure;
use super::openssh::OpenSsh;
use super::plain_server::{Disk, Password, PlainServer};

#[tokio::test(flavor = "multi_thread")]
async fn a_single_file_appears_with_its_manifest_and_the_same_run_is_recognized() {
    let server = OpenSsh::start();
    let destination = server.login().destination(&folder("in/weekly"));
    let directory = server.directory().join("in/weekly");
    let (run, content) = (Uuid::now_v7(), Content::single("customers.csv", 5_000_000, 1));
    let mut attempt = writer(&destination, &content.delivery(run, 0)).await;
    content.write(attempt.as_mut()).await.expect("written");
    let staged: Vec<String> = read_files(&directory).into_keys().collect();
    assert_eq!(staged, [format!("customers.csv.part-{run}-0")], "nothing is visible before the commit");
    attempt.commit(&content.manifest(run)).await.expect("committed");
    content.assert_delivered(&directory, run);
    attempt.abort().await;
    content.assert_delivered(&directory, run);

    assert!(!content.deliver(&destination, run, 1).await.expect("recognized"));
    let (other_run, other) = (Uuid::now_v7(), Content::single("customers.csv", 1_000, 2));
    assert!(other.deliver(&destination, other_run, 0).await.expect("replaced"));
    other.assert_delivered(&directory, other_run);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_appear_with_the_commit_and_an_aborted_attempt_leaves_nothing() {
    let server = OpenSsh::start();
    let destination = server.login().destination(&json!({}));
    let run = Uuid::now_v7();
    let content = Content::several(run, 300_000, 1);
    let mut aborted = writer(&destination, &content.delivery(run, 0)).await;
    content.write(aborted.as_mut()).await.expect("written");
    assert!(read_files(&server.directory()).keys().all(|path| path.contains(".csv.part-")), "nothing is visible");
    aborted.abort().await;
    assert_eq!(fs::read_dir(server.directory()).expect("the root").count(), 0, "no file and no folder is left");

    assert!(content.deliver(&destination, run, 1).await.expect("delivered"));
    content.assert_delivered(&server.directory(), run);
    assert!(!content.deliver(&destination, run, 2).await.expect("recognized"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_attempt_left_is_removed_if_no_other_attempt_follows() {
    let server = OpenSsh::start();
    let (destination, later) =
        (server.login().destination(&folder("in/weekly")), server.login().destination(&json!({})));
    assert_remains_are_removed(&destination, &later, &server.directory().join("in/weekly")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_after_an_edit_knows_the_names_of_the_one_before() {
    let server = OpenSsh::start();
    let destination = server.login().destination(&folder("weekly"));
    assert_edits_are_noticed(&destination, &server.directory().join("weekly")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_removes_what_earlier_attempts_of_its_run_left_and_nothing_else() {
    let server = OpenSsh::start();
    let destination = server.login().destination(&json!({}));
    let (run, other_run) = (Uuid::now_v7(), Uuid::now_v7());
    let content = Content::single("customers.csv", 1_000, 1);
    // Attempts that end without an abort, as those of a process that was killed.
    for (run, attempt) in [(run, 0), (run, 1), (other_run, 0)] {
        let mut lost = writer(&destination, &content.delivery(run, attempt)).await;
        content.write(lost.as_mut()).await.expect("written");
    }
    drop(writer(&destination, &content.delivery(run, 2)).await);
    let left: Vec<String> = read_files(&server.directory()).into_keys().collect();
    assert_eq!(left, [format!("customers.csv.part-{other_run}-0")]);
    fs::remove_file(server.directory().join(&left[0])).expect("removed");

    let several = Content::several(run, 1_000, 1);
    let mut lost = writer(&destination, &several.delivery(run, 0)).await;
    several.write(lost.as_mut()).await.expect("written");
    // A file that a commit renamed before it was interrupted, and that the next attempt does not write.
    let folder = server.directory().join(several.manifest_path.trim_end_matches("/_SUCCESS.json"));
    fs::rename(folder.join(format!("orders/part-00000.csv.part-{run}-0")), folder.join("orders/part-00009.csv"))
        .expect("renamed");
    assert!(several.deliver(&destination, run, 1).await.expect("delivered"));
    several.assert_delivered(&server.directory(), run);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_directory_is_the_default() {
    let server = OpenSsh::start();
    let mut login = server.login();
    login.directory = ".".to_owned();
    let (run, content) = (Uuid::now_v7(), Content::single("customers.csv", 1_000, 1));
    assert!(content.deliver(&login.destination(&json!({})), run, 0).await.expect("delivered"));
    content.assert_delivered(&server.directory(), run);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_extensions_replaces_files_whose_names_hold_the_run() {
    let server = PlainServer::start(Password::Method, Disk::Unlimited).await;
    let destination = server.login().destination(&json!({}));
    let run = Uuid::now_v7();
    let content = Content::single(&format!("customers-{run}.csv"), 200_000, 1);
    assert!(content.deliver(&destination, run, 0).await.expect("delivered"));
    content.assert_delivered(server.directory(), run);
    // The commit of an earlier attempt was interrupted after its first rename.
    fs::remove_file(server.directory().join(&content.manifest_path)).expect("removed");
    fs::write(server.directory().join(&content.files[0].0), "earlier").expect("written");
    assert!(content.deliver(&destination, run, 1).await.expect("delivered"));
    content.assert_delivered(server.directory(), run);

    let several = Content::several(run, 1_000, 1);
    assert!(several.deliver(&destination, run, 0).await.expect("delivered"));
    assert!(!several.deliver(&destination, run, 1).await.expect("recognized"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_extensions_does_not_replace_files_of_other_runs() {
    let server = PlainServer::start(Password::Method, Disk::Unlimited).await;
    let destination = server.login().destination(&json!({}));
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let content = Content::single("customers.csv", 1_000, 1);
    assert!(content.deliver(&destination, first, 0).await.expect("delivered"));
    let error = Content::single("customers.csv", 1_000, 2).deliver(&destination, second, 0).await.expect_err("refused");
    assert_eq!(error.code, FailureCode::DestinationRefused, "{error}");
    assert!(error.detail.contains("posix-rename"), "{error}");
    content.assert_delivered(server.directory(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_creates_and_removes_a_file() {
    let server = OpenSsh::start();
    let destination = server.login().destination(&folder("new/folder"));
    assert_eq!(failure(&destination.test().await), None);
    assert_eq!(fs::read_dir(server.directory()).expect("the root").count(), 0, "nothing is left");
}
