//! The destination `s3`.

use std::sync::Arc;

use outflow::delivery::destinations::CheckStep;
use outflow::delivery::destinations::object_store::s3;
use outflow::model::FailureCode;
use parking_lot::Mutex;

use super::bucket::{Bucket as _, object, objects_below};
use super::cases;
use super::export::{Export, sha256};
use super::https::{error, response, serve};
use super::versitygw::Versitygw;

#[tokio::test(flavor = "multi_thread")]
async fn files_in_s3_become_visible_at_the_commit() {
    let server = Versitygw::start().await;
    cases::files_become_visible_at_the_commit(&server).await;
    cases::a_later_run_replaces_a_file_of_the_same_name(&server).await;
    cases::a_file_of_an_edited_export_is_removed(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_leave_nothing_in_s3() {
    let server = Versitygw::start().await;
    cases::an_abort_leaves_nothing(&server).await;
    cases::uploads_of_a_lost_attempt_are_removed(&server, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_to_s3_leave_whole_files_or_none() {
    let server = Versitygw::start().await;
    cases::cut_connections_leave_whole_files_or_none(&server, "s3").await;
}

/// A server that takes the end of a connection for the end of an object refuses one whose digest is another.
#[tokio::test(flavor = "multi_thread")]
async fn objects_in_s3_are_sent_with_their_digest() {
    let server = Versitygw::start().await;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&sent);
    let address = serve(&server.tls, move |request, body| {
        if request.method != http::Method::PUT {
            return error(404, "NoSuchKey");
        }
        received.lock().push((request.headers["x-amz-content-sha256"].clone(), sha256(&body)));
        response(200, &[("etag", "1")], "")
    });
    let target = server.target(address.await, "p");
    let to = s3::destination(&target, server.network()).expect("a destination");
    let export = Export::several(&[10, 100_000]);
    export.deliver(to.as_ref(), &export.attempt(0, &Arc::default())).await.expect("delivered");
    let sent = sent.lock();
    assert!(sent.len() > export.files.len(), "files, and the manifest: {sent:?}");
    assert!(sent.iter().all(|(signed, digest)| signed == digest), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_s3_names_the_step_that_fails() {
    let server = Versitygw::start().await;
    cases::a_test_names_the_step_that_fails(&server).await;
    let build = |target| s3::destination(&target, server.network()).expect("a destination");
    let wrong_secret = build(server.target_with("bucket", "root", "wrong-secret", "tested"));
    cases::assert_fails(wrong_secret.as_ref(), CheckStep::Authenticate, FailureCode::AuthenticationFailed).await;
    let unknown_key = build(server.target_with("bucket", "nobody", "wrong-secret", "tested"));
    cases::assert_fails(unknown_key.as_ref(), CheckStep::Authenticate, FailureCode::AuthenticationFailed).await;
    let no_bucket = build(server.target_with("no-bucket", "root", "secret-of-the-root", "tested"));
    cases::assert_fails(no_bucket.as_ref(), CheckStep::Write, FailureCode::DestinationRefused).await;

    let export = Export::single("weekly.csv", 10);
    let error = export.deliver(wrong_secret.as_ref(), &export.attempt(0, &Arc::default())).await.expect_err("refused");
    assert_eq!(error.code, FailureCode::AuthenticationFailed, "{error}");
    assert!(!error.detail.contains("wrong-secret") && !error.detail.contains('<'), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_s3_writes_below_the_permitted_prefix_only() {
    let server = Versitygw::start().await;
    server.create_user("limited", "secret-of-limited", "permitted").await;
    for (prefix, denied) in [("permitted", None), ("other", Some(FailureCode::DestinationDenied))] {
        let target = server.target_with("bucket", "limited", "secret-of-limited", prefix);
        let to = s3::destination(&target, server.network()).expect("a destination");
        for bytes in [10, 9 * 1024 * 1024] {
            let export = Export::single("weekly.csv", bytes);
            let delivered = export.deliver(to.as_ref(), &export.attempt(0, &Arc::default())).await;
            assert_eq!(delivered.as_ref().err().map(|error| error.code), denied, "{delivered:?}");
        }
        match denied {
            Some(code) => cases::assert_fails(to.as_ref(), CheckStep::Write, code).await,
            None => assert_eq!(objects_below(&server, prefix).await.len(), 2),
        }
    }
    assert!(objects_below(&server, "other").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_endpoints_of_s3_come_from_the_connection_alone() {
    let server = Versitygw::start().await;
    let build = |target| s3::destination(&target, server.network()).err().map(|error| error.code);
    let mut target = server.target(server.address(), "p");
    target.credential.as_mut().expect("a credential").fields.remove("secret_access_key");
    assert_eq!(build(target), Some(FailureCode::CredentialRequired));
    let mut target = server.target(server.address(), "p");
    target.credential = None;
    assert_eq!(build(target), Some(FailureCode::CredentialRequired));
    let mut target = server.target(server.address(), "p");
    target.properties.insert("endpoint".into(), "http://127.0.0.1:1".into());
    assert_eq!(build(target), Some(FailureCode::DestinationRefused));

    // Folders of exports are below the prefix, and keys are what they are called.
    let mut target = server.target(server.address(), "a prefix/ü");
    target.settings = object(serde_json::json!({"folder": "each~week", "storage_class": "STANDARD_IA"}));
    let to = s3::destination(&target, server.network()).expect("a destination");
    let export = Export::single("50%.csv", 9 * 1024 * 1024);
    export.deliver(to.as_ref(), &export.attempt(0, &Arc::default())).await.expect("delivered");
    let keys = server.keys("").await;
    assert_eq!(keys, ["a prefix/ü/each~week/50%.csv", "a prefix/ü/each~week/50%.csv.manifest.json"]);
}
