//! Key sets: which keys are loaded, how often they are fetched, and what happens while the issuer is unavailable.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use tokio::time::Instant;

use super::*;
use crate::dialer::Dialer;
use crate::identity::jwk::parse_set;

const MINUTE: Duration = Duration::from_mins(1);

/// An HTTP server that counts its requests. The response depends on the number of the request only.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn start(response: impl Fn(usize) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let requests = Arc::clone(&server.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(response(requests.fetch_add(1, Ordering::SeqCst)).as_bytes());
            }
        });
        server
    }

    pub(super) fn url(&self) -> KeySource {
        KeySource::Url { url: format!("http://{}/keys", self.address), headers: |_| {}, dialer: Dialer::default() }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A key set with a task that refreshes it on request, as the background task does.
async fn refreshed_set(source: KeySource, max_stale: Duration) -> KeySet {
    let set = KeySet::load(source, max_stale).await.unwrap();
    let background = set.clone();
    tokio::spawn(async move {
        loop {
            background.refresh_requested().await;
            // A failure leaves the keys as they are.
            let _ = background.refresh().await;
        }
    });
    set
}

pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(super) const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(super) fn one_key(kid: &str) -> String {
    json!({"keys": [public(kid, &keys().ed25519, Algorithm::EdDSA)]}).to_string()
}

async fn reason(set: &KeySet, kid: &str, now: Instant) -> Option<AuthnError> {
    set.find_at(Some(kid), Algorithm::EdDSA, now).await.err()
}

#[tokio::test]
async fn ten_thousand_unknown_key_ids_cause_one_fetch() {
    let server = Server::start(|_| ok(&one_key("ed")));
    let set = refreshed_set(server.url(), 10 * MINUTE).await;
    let verifier = Verifier::new(vec![Issuer { settings: settings(), keys: set.clone() }]).ok().unwrap();
    assert_eq!(server.requests(), 1);
    let start = Instant::now();
    for number in 0..10_000 {
        let header = json!({"alg": "EdDSA", "kid": format!("unknown-{number}")});
        let token = format!("{}.{}.c2ln", encode(&header.to_string()), encode(&claims().to_string()));
        assert_eq!(verifier.check(&token, at(0)).await, Err(AuthnError::UnknownKey));
    }
    let intervals = start.elapsed().as_secs() / FETCH_INTERVAL.as_secs() + 1;
    let fetches = server.requests() - 1;
    assert!((1..=intervals).contains(&u64::try_from(fetches).unwrap()), "{fetches} in {intervals} intervals");
    let later = Instant::now() + FETCH_INTERVAL;
    for _ in 0..10 {
        assert_eq!(reason(&set, "unknown", later).await, Some(AuthnError::UnknownKey));
    }
    assert_eq!(server.requests(), fetches + 2, "one more in the next 30 s");
}

#[tokio::test]
async fn concurrent_callers_share_one_fetch_and_find_the_new_key() {
    let server = Server::start(|request| ok(&one_key(if request == 0 { "old" } else { "new" })));
    let set = refreshed_set(server.url(), MINUTE).await;
    let callers = (0..100).map(|_| {
        let set = set.clone();
        tokio::spawn(async move { set.find(Some("new"), Algorithm::EdDSA).await.is_ok() })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert!(caller.await.unwrap());
    }
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_cancelled_call_does_not_cancel_the_fetch() {
    let (release, held) = mpsc::channel::<()>();
    let server = Server::start(move |request| {
        if request == 1 {
            held.recv().unwrap();
        }
        ok(&one_key(if request == 0 { "old" } else { "new" }))
    });
    let set = refreshed_set(server.url(), MINUTE).await;
    // The first poll requests the fetch, whose response is held back. Then the call is cancelled.
    let cancelled = tokio::time::timeout(Duration::ZERO, set.find(Some("new"), Algorithm::EdDSA)).await;
    assert!(cancelled.is_err());
    release.send(()).unwrap();
    assert!(set.find(Some("new"), Algorithm::EdDSA).await.is_ok());
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn the_last_keys_are_used_while_the_issuer_is_unavailable_until_they_are_stale() {
    let server =
        Server::start(|request| if request == 0 || request >= 4 { ok(&one_key("ed")) } else { DOWN.to_owned() });
    let set = refreshed_set(server.url(), 2 * MINUTE).await;
    let start = Instant::now();
    assert!(set.refresh().await.is_err());
    assert_eq!(reason(&set, "new", start + MINUTE).await, Some(AuthnError::UnknownKey));
    assert_eq!(reason(&set, "ed", start + MINUTE).await, None);
    assert_eq!(reason(&set, "ed", start + 3 * MINUTE).await, Some(AuthnError::KeysUnavailable));
    assert_eq!(reason(&set, "ed", start + 3 * MINUTE).await, Some(AuthnError::KeysUnavailable));
    assert_eq!(server.requests(), 4, "the load, the refresh, and two fetches in different intervals");
    // The refresh that this look-up requests succeeds. It is recorded with the real time, not with that of the look-up.
    assert_eq!(reason(&set, "ed", start + 4 * MINUTE).await, Some(AuthnError::KeysUnavailable));
    assert_eq!(server.requests(), 5);
    assert_eq!(reason(&set, "ed", Instant::now()).await, None, "the keys are fresh again");
}

#[tokio::test]
async fn an_issuer_may_be_away_for_ten_minutes() {
    let server = Server::start(|request| if request == 0 { ok(&one_key("ed")) } else { DOWN.to_owned() });
    let set = refreshed_set(server.url(), 10 * MINUTE).await;
    let start = Instant::now();
    for second in 0..600 {
        let now = start + Duration::from_secs(second);
        if second % 30 == 0 {
            set.refresh().await.unwrap_err();
        }
        assert_eq!(reason(&set, "ed", now).await, None, "after {second} s");
    }
    assert!(server.requests() > 20);
}

#[tokio::test]
async fn a_cached_token_is_refused_after_its_key_is_removed() {
    let server = Server::start(|request| ok(&one_key(if request == 0 { "ed" } else { "new" })));
    let set = refreshed_set(server.url(), 10 * MINUTE).await;
    let verifier = Verifier::new(vec![Issuer { settings: settings(), keys: set.clone() }]).ok().unwrap();
    let token = token(&claims());
    assert!(verifier.check(&token, at(0)).await.is_ok());
    set.refresh().await.unwrap();
    assert_eq!(verifier.check(&token, at(0)).await, Err(AuthnError::UnknownKey));
}

#[tokio::test]
async fn a_cached_token_is_refused_when_the_keys_are_stale() {
    let server = Server::start(|request| if request == 0 { ok(&one_key("ed")) } else { DOWN.to_owned() });
    let set = refreshed_set(server.url(), Duration::from_secs(1)).await;
    let verifier = Verifier::new(vec![Issuer { settings: settings(), keys: set.clone() }]).ok().unwrap();
    let token = token(&claims());
    assert!(verifier.check(&token, at(0)).await.is_ok());
    while set.is_available().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(verifier.check(&token, at(0)).await, Err(AuthnError::KeysUnavailable));
}

#[tokio::test]
async fn invalid_responses_are_not_loaded() {
    let redirect = |address: SocketAddr| {
        format!("HTTP/1.1 302 Found\r\nlocation: http://{address}/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    };
    let target = Server::start(|_| ok(&one_key("ed")));
    let location = target.address;
    let huge = format!("{{\"keys\": [], \"pad\": \"{}\"}}", "x".repeat(MAX_KEY_SET_BYTES));
    let many = json!({"keys": vec![json!({}); MAX_KEYS + 1]}).to_string();
    let encryption = key_set().to_string().replace("\"sig\"", "\"enc\"");
    for (case, response) in [
        ("503", DOWN.to_owned()),
        ("a redirect", redirect(location)),
        ("too large", ok(&huge)),
        ("not JSON", ok("<html>")),
        ("not a set", ok("{}")),
        ("not an array", ok(r#"{"keys": {}}"#)),
        ("no key", ok(r#"{"keys": []}"#)),
        ("too many keys", ok(&many)),
        ("keys for encryption", ok(&encryption)),
        ("not HTTP", "hello".to_owned()),
        ("no response", String::new()),
    ] {
        let server = Server::start(move |_| response.clone());
        assert!(KeySet::load(server.url(), MINUTE).await.is_err(), "{case}");
        assert_eq!(server.requests(), 1, "{case}");
    }
    assert_eq!(target.requests(), 0, "redirects are not followed");
}

#[tokio::test]
async fn a_fetch_from_an_issuer_that_does_not_respond_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = KeySource::Url {
        url: format!("http://{}/keys", listener.local_addr().unwrap()),
        headers: |_| {},
        dialer: Dialer::default(),
    };
    let start = Instant::now();
    assert!(KeySet::load(url, MINUTE).await.is_err());
    assert!(start.elapsed() < FETCH_TIMEOUT * 2);
}

#[tokio::test]
async fn invalid_urls_are_refused() {
    for url in ["", "keys", "ftp://issuer.example/", "file:///etc/passwd", "https://user:secret@issuer.example/"] {
        let error =
            KeySet::load(KeySource::Url { url: url.to_owned(), headers: |_| {}, dialer: Dialer::default() }, MINUTE)
                .await
                .err()
                .unwrap();
        assert!(matches!(error, KeySetError::Url), "{url}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_file_is_read_again_at_each_refresh() {
    let path = std::env::temp_dir().join(format!("outflow-keys-{}.json", uuid::Uuid::new_v4()));
    fs::write(&path, one_key("old")).unwrap();
    let set = refreshed_set(KeySource::File(path.clone()), MINUTE).await;
    assert!(set.find(Some("old"), Algorithm::EdDSA).await.is_ok());
    fs::write(&path, one_key("new")).unwrap();
    assert!(set.find(Some("new"), Algorithm::EdDSA).await.is_ok());
    assert_eq!(set.find(Some("old"), Algorithm::EdDSA).await.err(), Some(AuthnError::UnknownKey));
    fs::remove_file(&path).unwrap();
    assert!(set.refresh().await.is_err());
    assert!(KeySet::load(KeySource::File(path), MINUTE).await.is_err());
}

#[test]
fn only_keys_that_may_verify_are_loaded() {
    let ed = public("ed", &keys().ed25519, Algorithm::EdDSA);
    let rsa = public("rsa", &keys().rsa, Algorithm::RS256);
    let change = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let without = |key: &Value, name: &str| {
        let mut key = key.clone();
        key.as_object_mut().unwrap().remove(name);
        key
    };
    for (case, key, algorithms) in [
        ("Ed25519", ed.clone(), 1),
        ("RSA", rsa.clone(), 6),
        ("RSA for one algorithm", change(&rsa, "alg", json!("PS256")), 1),
        ("without use", without(&ed, "use"), 1),
        ("without kid", without(&ed, "kid"), 1),
        ("for encryption", change(&ed, "use", json!("enc")), 0),
        ("for something else", change(&ed, "use", json!("tls")), 0),
        ("RSA for HS256", change(&rsa, "alg", json!("HS256")), 0),
        ("RSA for RSA-OAEP", change(&rsa, "alg", json!("RSA-OAEP")), 0),
        ("Ed25519 for RS256", change(&ed, "alg", json!("RS256")), 0),
        ("unknown algorithm", change(&ed, "alg", json!("XX")), 0),
        ("another curve", change(&ed, "crv", json!("X25519")), 0),
        ("another key type", change(&ed, "kty", json!("AKP")), 0),
        ("without x", without(&ed, "x"), 0),
        ("bad x", change(&ed, "x", json!("?")), 0),
        ("symmetric", json!({"kty": "oct", "k": "c2VjcmV0", "kid": "ed"}), 0),
        ("not an object", json!("key"), 0),
    ] {
        let set = json!({"keys": [key]}).to_string();
        let loaded: usize = parse_set(set.as_bytes()).unwrap().iter().map(|key| key.algorithms.len()).sum();
        assert_eq!(loaded, algorithms, "{case}");
    }
}
