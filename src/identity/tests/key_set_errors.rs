//! Why a key set could not be loaded: errors tell what an operator must look at. A set that was never loaded is not available.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::key_sets::{DOWN, Server, ok, one_key};
use super::*;
use crate::dialer::{Dialer, DialerSettings, Resolver};

const MINUTE: Duration = Duration::from_mins(1);

async fn error(url: String, dialer: Dialer) -> String {
    KeySet::load(KeySource::Url { url, headers: |_| {}, dialer }, MINUTE).await.err().unwrap().to_string()
}

#[tokio::test]
async fn failures_of_the_network_are_told_apart() {
    let unknown = Resolver::new(|_| async { Err(io::Error::other("no such name")) });
    let unknown = Dialer::with_resolver(DialerSettings::default(), unknown).unwrap();
    let found = error("https://id.example/keys?secret=1".to_owned(), unknown).await;
    assert_eq!(found, "cannot fetch the key set: cannot resolve id.example: no such name");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = error(format!("http://{closed}/keys"), Dialer::default()).await;
    assert!(found.starts_with("cannot fetch the key set: cannot connect to 127.0.0.1: Connection refused"), "{found}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = error(format!("http://{}/keys", silent.local_addr().unwrap()), Dialer::default()).await;
    assert_eq!(found, "cannot fetch the key set: the request to 127.0.0.1 failed: timed out");

    let plain = Server::start(|_| ok("{}"));
    let found = error(format!("https://{}/keys", plain.address), Dialer::default()).await;
    assert!(found.starts_with("cannot fetch the key set: cannot establish TLS with 127.0.0.1: "), "{found}");
}

#[tokio::test]
async fn answers_that_are_no_key_set_are_told_apart() {
    let many = json!({"keys": vec![json!({}); MAX_KEYS + 1]}).to_string();
    let encryption = json!({"keys": [{"kty": "RSA", "use": "enc", "n": "AQ", "e": "AQAB"}]}).to_string();
    let status = |status: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let no_set = |found: &str| format!("the key set is {found}, not a JSON Web Key Set of at most 100 keys");
    let of_status = |text: &str| format!("cannot fetch the key set from 127.0.0.1: HTTP status {text}");
    for (response, expected) in [
        (DOWN.to_owned(), of_status("503 Service Unavailable")),
        (status("302 Found"), of_status("302 Found; redirects are not followed")),
        (status("404 Not Found"), of_status("404 Not Found; check `jwt_jwks_url`, or without it `jwt_issuer`")),
        (ok("<!DOCTYPE html>"), no_set("HTML or XML")),
        (ok("keys"), no_set("not JSON")),
        (
            ok(r#"{"issuer": "https://id.example", "jwks_uri": "https://id.example/keys"}"#),
            no_set("a discovery document, whose `jwks_uri` is the URL of the key set"),
        ),
        (ok(r#"{"kty": "RSA", "n": "AQ", "e": "AQAB"}"#), no_set("a single key")),
        (ok(r#"{"kid-1": "-----BEGIN CERTIFICATE-----"}"#), no_set("JSON without `keys`")),
        (ok(&many), no_set("an object whose `keys` is no array of that size")),
        (ok(&encryption), "the key set has no key for a permitted signature algorithm".to_owned()),
    ] {
        let server = Server::start(move |_| response.clone());
        assert_eq!(error(format!("http://{}/keys", server.address), Dialer::default()).await, expected);
    }
}

#[tokio::test]
async fn a_set_is_unavailable_until_it_is_loaded_for_the_first_time() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let server =
        Server::start(move |_| if is_up.load(Ordering::SeqCst) { ok(&one_key("ed")) } else { DOWN.to_owned() });
    let set = KeySet::open(server.url(), MINUTE).unwrap();
    set.refresh().await.unwrap_err();
    assert!(!set.was_loaded() && !set.is_available().await && set.is_remote());
    let verifier = Verifier::new(vec![Issuer { settings: settings(), keys: set.clone() }]).ok().unwrap();
    let background = set.clone();
    tokio::spawn(async move {
        background.refresh_requested().await;
        background.refresh().await
    });
    assert_eq!(verifier.check(&token(&claims()), at(0)).await, Err(AuthnError::KeysUnavailable));
    up.store(true, Ordering::SeqCst);
    set.refresh().await.unwrap();
    assert!(set.was_loaded() && set.is_available().await);
    assert!(verifier.check(&token(&claims()), at(0)).await.is_ok());
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_found_by_its_discovery_document() {
    let listener = Server::start(|_| ok(&one_key("ed")));
    let keys = format!("http://{}/keys", listener.address);
    let own = Arc::new(OnceLock::<String>::new());
    let issuer = Arc::clone(&own);
    let provider = Server::start(move |_| ok(&json!({"issuer": issuer.get().unwrap(), "jwks_uri": keys}).to_string()));
    let url = format!("http://{}/realms/acme/", provider.address);
    own.set(url.clone()).unwrap();
    let source =
        |issuer: &str| KeySource::Issuer { issuer: issuer.to_owned(), headers: |_| {}, dialer: Dialer::default() };
    let set = KeySet::load(source(&url), MINUTE).await.unwrap();
    assert!(set.find_at(Some("ed"), Algorithm::EdDSA, Instant::now()).await.is_ok());
    assert_eq!((provider.requests(), listener.requests()), (1, 1));
    // Without the slash at the end it is another issuer.
    let other = KeySet::load(source(url.trim_end_matches('/')), MINUTE).await.err().unwrap();
    assert!(matches!(other, KeySetError::OtherIssuer { .. }), "{other}");
    assert_eq!(listener.requests(), 1);
    for not_a_url in ["issuer", "ftp://id.example", "https://user:secret@id.example"] {
        assert!(matches!(KeySet::open(source(not_a_url), MINUTE).err(), Some(KeySetError::Url)), "{not_a_url}");
    }
}
