//! `object_store` over checked connections: bodies, retries, redirects and refused addresses.

use std::time::Duration;

use ::object_store::aws::{AmazonS3, AmazonS3Builder};
use ::object_store::path::Path;
use ::object_store::{ClientOptions, ObjectStoreExt as _, PutPayload, RetryConfig};
use futures_util::TryStreamExt as _;

use super::*;
use crate::model::FailureCode;

fn builder(endpoint: &str) -> AmazonS3Builder {
    let retry = RetryConfig { max_retries: 3, ..RetryConfig::default() };
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name("bucket")
        .with_region("eu-central-1")
        .with_retry(retry)
}

fn store(endpoint: &str, connector: ObjectStoreConnector) -> AmazonS3 {
    // What the options of the client permit does not matter: the connector decides.
    let options = ClientOptions::new().with_allow_http(true).with_allow_invalid_certificates(true);
    builder(endpoint)
        .with_access_key_id("id")
        .with_secret_access_key("key")
        .with_client_options(options)
        .with_http_connector(connector)
        .build()
        .unwrap()
}

fn store_of(server: &Server) -> AmazonS3 {
    store(&server.url(""), server.network().object_store_connector(server.options()).unwrap())
}

#[tokio::test]
async fn bodies_pass_in_both_directions() {
    let large = "x".repeat(3 << 20);
    let body = large.clone();
    let server = Server::start(move |received| {
        if received.head.starts_with("put ") {
            assert_eq!(received.body, b"one,two");
            return ok("");
        }
        assert!(received.head.contains("authorization: aws4-hmac-sha256 "), "{}", received.head);
        ok(&body)
    });
    let server = server.await;
    let store = store_of(&server);
    let payload: PutPayload = ["one,", "two"].into_iter().map(bytes::Bytes::from).collect();
    store.put(&Path::from("a.csv"), payload).await.unwrap();
    let chunks: Vec<_> = store.get(&Path::from("a.csv")).await.unwrap().into_stream().try_collect().await.unwrap();
    assert!(chunks.len() > 1, "the body is streamed");
    assert!(chunks.concat() == large.as_bytes());
}

#[tokio::test]
async fn a_connection_that_ends_is_retried() {
    let server = Server::start(|received| if received.number == 0 { Vec::new() } else { ok("rows") }).await;
    let found = store_of(&server).get(&Path::from("a.csv")).await.unwrap().bytes().await.unwrap();
    assert_eq!(&found[..], b"rows");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Untouched::bind("127.0.0.1:0").await;
    let location = format!("https://127.0.0.1:{}/", target.port());
    let server = Server::start(move |_| redirect_to(&location)).await;
    let store = store_of(&server);
    assert!(store.get(&Path::from("a.csv")).await.is_err());
    assert!(store.put(&Path::from("a.csv"), PutPayload::from_static(b"rows")).await.is_err());
    target.assert().await;
}

#[tokio::test]
async fn what_a_retry_cannot_overcome_is_not_retried() {
    let server = Server::start(|_| ok("")).await;
    let target = Untouched::bind(&format!("127.0.0.1:{}", server.address.port())).await;
    let (resolver, lookups) = rebinding(&[&["127.0.0.1"]]);
    let port = server.address.port();
    let connector = || network(&[], resolver.clone()).object_store_connector(server.options()).unwrap();
    let untrusted = server.network().object_store_connector(HttpOptions::default()).unwrap();
    for (endpoint, connector, code) in [
        (server.url(""), connector(), FailureCode::AddressForbidden),
        (format!("https://127.1:{port}"), connector(), FailureCode::AddressForbidden),
        (format!("https://[::ffff:127.0.0.1]:{port}"), connector(), FailureCode::AddressForbidden),
        (format!("http://127.0.0.1:{port}"), connector(), FailureCode::AddressForbidden),
        (server.url(""), untrusted, FailureCode::TlsFailed),
    ] {
        let error = store(&endpoint, connector).get(&Path::from("a.csv")).await.err().unwrap();
        assert_eq!(DialError::find(&error).map(DialError::code), Some(code), "{endpoint}: {error}");
    }
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    assert_eq!(server.connections(), 1, "the untrusted one");
    target.assert().await;
}

#[tokio::test]
async fn what_is_unreachable_is_retried() {
    let (resolver, lookups) = rebinding(&[&[], &[], &[], &["127.0.0.2"]]);
    let server = Server::start(|_| ok("rows")).await;
    let connector = network(&[server.address], resolver).object_store_connector(server.options()).unwrap();
    assert!(store(&server.url(""), connector).head(&Path::from("a.csv")).await.is_ok());
    assert_eq!(lookups.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_store_of_the_operator_gets_its_identity_over_http() {
    let metadata = Server::start_plain(|received| match received.head.split(' ').nth(1) {
        Some("/latest/api/token") => ok("token"),
        Some("/latest/meta-data/iam/security-credentials/") => ok("reader"),
        _ => ok(r#"{"AccessKeyId": "id-of-reader", "SecretAccessKey": "key", "Token": "session", "Code": "Success",
            "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC"}"#),
    });
    let metadata = metadata.await;
    let server = Server::start(|received| {
        assert!(received.head.contains("credential=id-of-reader/"), "{}", received.head);
        ok("rows")
    });
    let server = server.await;
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), &server.certificate).unwrap();
    let settings = DialerSettings { authorities: Some(authorities.path().to_owned()), ..settings(&[]) };
    let dialer = Dialer::with_resolver(settings, resolver([(NAME, &["127.0.0.2"])])).unwrap();
    let connector = dialer.operator_object_store_connector(Duration::from_secs(10)).unwrap();
    let store = builder(&server.url("")).with_metadata_endpoint(format!("http://{}", metadata.address));
    let store = store.with_http_connector(connector).build().unwrap();
    let found = store.get(&Path::from("a.csv")).await.unwrap().bytes().await.unwrap();
    assert_eq!(&found[..], b"rows");
}

#[tokio::test]
async fn a_store_of_the_operator_speaks_http_only_if_its_options_permit_it_and_follows_no_redirect() {
    let target = Untouched::bind("127.0.0.1:0").await;
    let location = format!("http://127.0.0.1:{}/", target.port());
    let server =
        Server::start_plain(
            move |received| {
                if received.head.contains("/moved") { redirect_to(&location) } else { ok("rows") }
            },
        );
    let server = server.await;
    let connector = Dialer::default().operator_object_store_connector(Duration::from_secs(10)).unwrap();
    let get = async |allows_http, key| {
        let store =
            builder(&format!("http://{}", server.address)).with_access_key_id("id").with_secret_access_key("key");
        let store = store.with_allow_http(allows_http).with_http_connector(connector.clone()).build().unwrap();
        store.get(&Path::from(key)).await
    };
    assert_eq!(&get(true, "a.csv").await.unwrap().bytes().await.unwrap()[..], b"rows");
    let refused = get(false, "a.csv").await.err().unwrap();
    assert!(matches!(DialError::find(&refused), Some(DialError::NotHttps { .. })), "{refused}");
    assert!(get(true, "moved").await.is_err());
    target.assert().await;
}
