//! The destination `azure_blob`.

use std::sync::Arc;

use jsonwebtoken::{EncodingKey, Header, encode};
use outflow::delivery::destinations::object_store::azure_blob;
use outflow::delivery::destinations::{CheckStep, Target};
use outflow::model::FailureCode;
use serde_json::json;

use super::azurite::Azurite;
use super::bucket::{Bucket as _, object, objects_below};
use super::cases;
use super::export::{Export, Log};
use super::https::{response, serve};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn blobs_become_visible_at_the_commit() {
    let server = Azurite::start().await;
    cases::files_become_visible_at_the_commit(&server).await;
    cases::a_later_run_replaces_a_file_of_the_same_name(&server).await;
    cases::a_file_of_an_edited_export_is_removed(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_leave_no_blobs() {
    let server = Azurite::start().await;
    cases::an_abort_leaves_nothing(&server).await;
    cases::uploads_of_a_lost_attempt_are_removed(&server, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_to_azure_leave_whole_blobs_or_none() {
    let server = Azurite::start().await;
    cases::cut_connections_leave_whole_files_or_none(&server, "azure_blob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_azure_names_the_step_that_fails() {
    let server = Azurite::start().await;
    cases::a_test_names_the_step_that_fails(&server).await;
    let build = |target: &Target| azure_blob::destination(target, server.network()).expect("a destination");
    let no_container = server.target_with("no-container", "account_key", &[("account_key", &server.key)], "tested");
    cases::assert_fails(build(&no_container).as_ref(), CheckStep::Write, FailureCode::DestinationRefused).await;
    let read_only = server.sas_token("rl");
    let read_only = server.target_with("container", "sas_token", &[("sas_token", &read_only)], "tested");
    cases::assert_fails(build(&read_only).as_ref(), CheckStep::Write, FailureCode::DestinationDenied).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_written_with_a_shared_access_signature() {
    let server = Azurite::start().await;
    let token = server.sas_token("racwdl");
    let mut target = server.target_with("container", "sas_token", &[("sas_token", &token)], "shared");
    target.settings = object(json!({"access_tier": "Cool"}));
    let to = azure_blob::destination(&target, server.network()).expect("a destination");
    for bytes in [10, 9 * MIB] {
        let export = Export::single("weekly.csv", bytes);
        export.deliver(to.as_ref(), &export.attempt(0, &Arc::<Log>::default())).await.expect("delivered");
        assert_eq!(server.access_tier("shared/weekly.csv").await, "Cool");
        assert_eq!(server.access_tier("shared/weekly.csv.manifest.json").await, "Hot");
    }
    assert_eq!(objects_below(&server, "shared").await.len(), 2);
    let checks = to.test().await;
    assert!(
        checks.iter().all(|check| check.outcome == outflow::delivery::destinations::CheckOutcome::Passed),
        "{checks:?}"
    );
    // The token is part of URLs, and never of an error.
    target.properties.insert("container".into(), "no-container".into());
    let to = azure_blob::destination(&target, server.network()).expect("a destination");
    let export = Export::single("weekly.csv", 9 * MIB);
    let error =
        export.deliver(to.as_ref(), &export.attempt(0, &Arc::<Log>::default())).await.expect_err("no container");
    assert!(!error.detail.contains("sig="), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_is_exchanged_for_a_token() {
    let server = Azurite::start().await;
    let now = outflow::model::Clock::default().now().timestamp();
    let authority = serve(&server.tls, move |parts, body| {
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        if parts.uri.path() != "/tenant.example/oauth2/v2.0/token" || !body.contains("client_secret=right") {
            return response(401, &[], r#"{"error": "invalid_client", "error_description": "text of the far side"}"#);
        }
        let audience = if body.contains("client_id=2") { "https://other.example" } else { "https://storage.azure.com" };
        let claims = json!({
            "aud": audience,
            "iss": "https://sts.windows.net/tenant/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3600,
        });
        let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"any")).expect("a token");
        response(200, &[], json!({"access_token": token, "expires_in": 3600}).to_string())
    });
    let authority = authority.await;
    let build = |client_id: &str, client_secret: &str| {
        let mut target = server.target_with("container", "client_secret", &[("client_secret", client_secret)], "entra");
        target.properties.insert("tenant_id".into(), "tenant.example".into());
        target.properties.insert("client_id".into(), client_id.into());
        target.properties.insert("authority_host".into(), format!("https://{authority}/").into());
        azure_blob::destination(&target, server.network()).expect("a destination")
    };
    let export = Export::single("weekly.csv", 9 * MIB);
    let to = build("1", "right");
    export.deliver(to.as_ref(), &export.attempt(0, &Arc::<Log>::default())).await.expect("delivered");
    assert_eq!(objects_below(&server, "entra").await.get("weekly.csv"), Some(&export.files[0].1));
    // Refused by the authority, and by the store.
    for (client_id, client_secret) in [("1", "wrong"), ("2", "right")] {
        let to = build(client_id, client_secret);
        cases::assert_fails(to.as_ref(), CheckStep::Authenticate, FailureCode::AuthenticationFailed).await;
        let error = export.deliver(to.as_ref(), &export.attempt(1, &Arc::<Log>::default())).await.expect_err("refused");
        assert_eq!(error.code, FailureCode::AuthenticationFailed, "{error}");
        assert!(!error.detail.contains("far side"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_azure_come_from_the_connection_alone() {
    let server = Azurite::start().await;
    let build = |method: &str, fields: &[(&str, &str)]| {
        let target = server.target_with("container", method, fields, "p");
        azure_blob::destination(&target, server.network()).err().map(|error| error.code)
    };
    let required = Some(FailureCode::CredentialRequired);
    assert_eq!(build("account_key", &[]), required);
    assert_eq!(build("account_key", &[("account_key", "no base64")]), required);
    assert_eq!(build("sas_token", &[("account_key", &server.key)]), required);
    assert_eq!(build("client_secret", &[("client_secret", "a")]), required);
    assert_eq!(build("managed_identity", &[("client_secret", "a")]), required);
}
