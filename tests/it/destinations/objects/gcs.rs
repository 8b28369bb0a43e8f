//! The destination `gcs`.

use std::sync::Arc;

use outflow::delivery::DeliveryError;
use outflow::delivery::destinations::CheckStep;
use outflow::delivery::destinations::object_store::gcs;
use outflow::model::FailureCode;
use serde_json::json;

use super::bucket::{Bucket as _, destination, object, objects_below};
use super::cases;
use super::export::{Export, Log};
use super::gcs_server::{Account, Fault, GcsServer};
use super::https::{Response, error, response};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn files_in_gcs_become_visible_at_the_commit() {
    let server = GcsServer::start().await;
    cases::files_become_visible_at_the_commit(&server).await;
    cases::a_later_run_replaces_a_file_of_the_same_name(&server).await;
    cases::a_file_of_an_edited_export_is_removed(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_leave_nothing_in_gcs() {
    let server = GcsServer::start().await;
    cases::an_abort_leaves_nothing(&server).await;
    cases::uploads_of_a_lost_attempt_are_removed(&server, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_to_gcs_leave_whole_files_or_none() {
    let server = GcsServer::start().await;
    cases::cut_connections_leave_whole_files_or_none(&server, "gcs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_gcs_names_the_step_that_fails() {
    let server = GcsServer::start().await;
    cases::a_test_names_the_step_that_fails(&server).await;
    let build = |target| gcs::destination(&target, server.network()).expect("a destination");
    let key = server.account.document();
    let wrong_key = build(server.target_with("bucket", &Account::generate().document(), "tested"));
    cases::assert_fails(wrong_key.as_ref(), CheckStep::Authenticate, FailureCode::AuthenticationFailed).await;
    let no_bucket = build(server.target_with("no-bucket", &key, "tested"));
    cases::assert_fails(no_bucket.as_ref(), CheckStep::Write, FailureCode::DestinationRefused).await;
    let denied = build(server.target_with("bucket", &key, "denied"));
    cases::assert_fails(denied.as_ref(), CheckStep::Write, FailureCode::DestinationDenied).await;
    for (operation, status, code) in
        [("", 429, FailureCode::DestinationThrottled), ("", 401, FailureCode::AuthenticationFailed)]
    {
        server.set_faults(&[fault(operation, 100, response(status, &[], ""))]);
        cases::assert_fails(destination(&server, "tested").as_ref(), CheckStep::Authenticate, code).await;
    }
    // What cannot be removed fails the test.
    server.set_faults(&[fault("delete", 100, error(403, "AccessDenied"))]);
    let failed = FailureCode::DestinationDenied;
    cases::assert_fails(destination(&server, "tested").as_ref(), CheckStep::Write, failed).await;
}

fn fault(operation: &'static str, times: usize, response: Response) -> Fault {
    Fault { operation, times, carried_out: false, response }
}

async fn deliver(server: &GcsServer, prefix: &str, export: &Export) -> Result<(), DeliveryError> {
    let to = destination(server, prefix);
    export.deliver(to.as_ref(), &export.attempt(0, &Arc::<Log>::default())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_a_code_and_its_text_goes_nowhere() {
    let server = GcsServer::start().await;
    let redirect = response(307, &[("location", "https://169.254.169.254/")], "");
    for (operation, answer, expected) in [
        ("begin", error(429, "TooManyRequests"), FailureCode::DestinationThrottled),
        ("part", error(503, "SlowDown"), FailureCode::DestinationThrottled),
        ("part", error(507, "QuotaExceeded"), FailureCode::DestinationFull),
        ("part", error(500, "InternalError"), FailureCode::DestinationUnreachable),
        ("complete", error(403, "AccessDenied"), FailureCode::DestinationDenied),
        ("begin", error(400, "InvalidStorageClass"), FailureCode::DestinationRefused),
        ("put", error(401, "Unknown"), FailureCode::AuthenticationFailed),
        ("put", redirect, FailureCode::DestinationRefused),
        ("begin", response(200, &[], "no XML"), FailureCode::DestinationRefused),
        ("get", error(404, "NoSuchBucket"), FailureCode::DestinationRefused),
    ] {
        server.set_faults(&[fault(operation, 100, answer.clone())]);
        let error = deliver(&server, "faults", &Export::single("weekly.csv", 9 * MIB)).await.expect_err("a fault");
        assert_eq!(error.code, expected, "{operation} {answer:?}: {error}");
        assert!(!error.detail.contains("far side") && !error.detail.contains("XML"), "{error}");
        let tries = server.operations().iter().filter(|name| *name == operation).count();
        let is_passing = answer.status().is_server_error() || answer.status() == 429;
        assert!(tries == if is_passing { 3 } else { 1 } || operation == "part", "{operation}: {tries}");
    }
    server.set_faults(&[fault("get", 1, response(200, &[("etag", "e")], vec![b' '; 40 * MIB]))]);
    let error = deliver(&server, "faults", &Export::single("weekly.csv", 10)).await.expect_err("too large");
    assert!(!error.detail.contains("    "), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_responses_are_lost_is_recognized() {
    let server = GcsServer::start().await;
    for operation in ["complete", "put", "create"] {
        for export in [Export::single("weekly.csv", 9 * MIB), Export::several(&[9 * MIB, 10, 9 * MIB])] {
            let lost = Fault { carried_out: true, ..fault(operation, 1, error(503, "ServiceUnavailable")) };
            server.set_faults(&[lost]);
            deliver(&server, operation, &export).await.expect("delivered");
            let objects = objects_below(&server, operation).await;
            assert!(export.files.iter().all(|(path, content)| objects.get(path) == Some(content)));
            assert!(objects.contains_key(&export.manifest_path));
        }
    }
    assert!(server.uploads().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_comes_last_and_is_not_replaced() {
    let server = GcsServer::start().await;
    server.set_faults(&[]);
    let export = Export::several(&[9 * MIB, 10]);
    deliver(&server, "ordered", &export).await.expect("delivered");
    assert_eq!(server.operations().last().map(String::as_str), Some("create"));
    // Stores without conditional requests replace it.
    server.set_faults(&[fault("create", 1, error(501, "NotImplemented"))]);
    deliver(&server, "unconditional", &export).await.expect("delivered");
    assert!(objects_below(&server, "unconditional").await.contains_key(&export.manifest_path));
    // The manifest of another run under the same name is kept.
    let mut other = Export::several(&[10]);
    other.manifest_path.clone_from(&export.manifest_path);
    let before = objects_below(&server, "ordered").await;
    let error = deliver(&server, "ordered", &other).await.expect_err("refused");
    assert_eq!(error.code, FailureCode::DestinationRefused);
    assert_eq!(objects_below(&server, "ordered").await.get(&export.manifest_path), before.get(&export.manifest_path));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_have_the_storage_class_of_the_export_and_manifests_have_none() {
    let server = GcsServer::start().await;
    for bytes in [10, 9 * MIB] {
        let mut target = server.target(server.address(), "class");
        target.settings = object(json!({"folder": "a/b", "storage_class": "COLDLINE"}));
        let to = gcs::destination(&target, server.network()).expect("a destination");
        let export = Export::single("weekly.csv", bytes);
        export.deliver(to.as_ref(), &export.attempt(0, &Arc::<Log>::default())).await.expect("delivered");
        let class = |key: &str| server.header(key, "x-goog-storage-class");
        assert_eq!(class("class/a/b/weekly.csv").as_deref(), Some("COLDLINE"));
        assert_eq!(class("class/a/b/weekly.csv.manifest.json"), None);
        assert_eq!(server.header("class/a/b/weekly.csv", "content-type").as_deref(), Some("text/csv"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_of_service_accounts_are_refused() {
    let server = GcsServer::start().await;
    let good = server.account.document();
    for (field, value) in [("type", "external_account"), ("private_key", "none"), ("client_email", "")] {
        let mut key = good.clone();
        key[field] = value.into();
        let built = gcs::destination(&server.target_with("bucket", &key, "p"), server.network()).err();
        assert_eq!(built.map(|error| error.code), Some(FailureCode::CredentialRequired), "{field}");
    }
}
