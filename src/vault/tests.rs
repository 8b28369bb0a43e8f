//! Tests of the vault: which envelopes open, and which must not.
//!
//! Refusals are checked exhaustively, not by samples: each byte, each length, each pair.

mod fuzzed;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::*;
use crate::model::{CredentialSecret, SealedSecret, Secret};

const CANARY_SECRET: &str = "hunter2-canary";

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn ring(keys: &[(&str, u8)], primary: Option<&str>) -> KeyRing {
    let pairs: Vec<String> = keys.iter().map(|(id, byte)| format!("{id}={}", key(*byte))).collect();
    KeyRing::from_setting(&Secret::new(pairs.join(",")), primary, "OUTFLOW_KEYS").unwrap()
}

fn vault() -> Vault {
    Vault::new(ring(&[("k0001", 1)], None))
}

fn credential(password: &str) -> CredentialSecret {
    let fields = BTreeMap::from([
        ("password".to_owned(), Secret::new(password.to_owned())),
        ("empty".to_owned(), Secret::new(String::new())),
    ]);
    CredentialSecret { auth_method: "password".to_owned(), fields }
}

fn properties(host: &str, port: u16) -> Map<String, Value> {
    json!({"host": host, "port": port, "directory": "/in"}).as_object().unwrap().clone()
}

fn paths(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| format!("properties.{key}")).collect()
}

fn context(organization: &str, uid: u128, revision: u64) -> SealContext<'_> {
    SealContext { organization, connection_uid: Uuid::from_u128(uid), revision }
}

fn sealed(vault: &Vault) -> SealedSecret {
    let paths = paths(&["host", "port"]);
    vault.seal(&context("acme", 7, 1), &paths, &properties("a.example", 22), &credential(CANARY_SECRET)).unwrap()
}

fn opens(vault: &Vault, context: &SealContext<'_>, properties: &Map<String, Value>, envelope: &[u8]) -> bool {
    vault.open(context, properties, envelope).is_ok()
}

#[test]
fn an_opened_credential_equals_the_sealed_one() {
    let vault = vault();
    let sealed = sealed(&vault);
    assert_eq!(sealed.key_id, "k0001");
    let opened = vault.open(&context("acme", 7, 1), &properties("a.example", 22), &sealed.envelope).ok().unwrap();
    assert_eq!(opened.auth_method, "password");
    assert_eq!(opened.fields.len(), 2);
    assert_eq!(opened.fields["password"].expose(), CANARY_SECRET);
    assert_eq!(opened.fields["empty"].expose(), "");
}

#[test]
fn two_envelopes_of_one_credential_share_only_the_header() {
    let vault = vault();
    let (one, other) = (sealed(&vault).envelope, sealed(&vault).envelope);
    let header = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let equal = one[header..].iter().zip(&other[header..]).filter(|(a, b)| a == b).count();
    assert!(equal < 16, "{equal} of {} random bytes are equal", one.len() - header);
    assert!(!String::from_utf8_lossy(&one).contains(CANARY_SECRET));
}

#[test]
fn no_envelope_opens_in_the_context_of_another() {
    let vault = vault();
    let cases: Vec<_> = (0..20_u128)
        .map(|n| {
            let organization = if n % 2 == 0 { "acme" } else { "zeta" };
            let revision = 1 + u64::try_from(n / 4).unwrap() % 2;
            let properties = properties(if n % 3 == 0 { "a.example" } else { "b.example" }, 22);
            let context = context(organization, n / 2, revision);
            let sealed = vault.seal(&context, &paths(&["host", "port"]), &properties, &credential(&n.to_string()));
            (context, properties, sealed.unwrap().envelope)
        })
        .collect();
    let mut refused = 0;
    for (i, (context, properties, own)) in cases.iter().enumerate() {
        assert!(opens(&vault, context, properties, own));
        for (_, _, other) in cases.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, case)| case) {
            assert!(!opens(&vault, context, properties, other));
            refused += 1;
        }
    }
    assert_eq!(refused, 380);
}

#[test]
fn an_envelope_opens_only_with_the_context_and_binding_properties_of_its_sealing() {
    let vault = vault();
    let envelope = sealed(&vault).envelope;
    let here = properties("a.example", 22);
    assert!(opens(&vault, &context("acme", 7, 1), &here, &envelope));
    assert!(!opens(&vault, &context("acm", 7, 1), &here, &envelope));
    assert!(!opens(&vault, &context("zeta", 7, 1), &here, &envelope));
    assert!(!opens(&vault, &context("acme", 8, 1), &here, &envelope));
    assert!(!opens(&vault, &context("acme", 7, 2), &here, &envelope));
    assert!(!opens(&vault, &context("acme", 7, 0), &here, &envelope));
    for (key, value) in [
        ("host", json!("b.example")),
        ("host", json!("a.example ")),
        ("host", json!(null)),
        ("host", json!("")),
        ("host", json!(["a.example"])),
        ("port", json!(23)),
        ("port", json!("22")),
    ] {
        let mut there = here.clone();
        there.insert(key.to_owned(), value);
        assert!(!opens(&vault, &context("acme", 7, 1), &there, &envelope), "{there:?}");
    }
    for key in ["host", "port"] {
        let mut there = here.clone();
        there.remove(key);
        assert!(!opens(&vault, &context("acme", 7, 1), &there, &envelope), "without {key}");
    }
    let mut unbound = here;
    unbound.insert("directory".to_owned(), json!("/elsewhere"));
    unbound.insert("port".to_owned(), json!(22.0));
    assert!(opens(&vault, &context("acme", 7, 1), &unbound, &envelope), "properties that are not binding may change");
}

#[test]
fn an_envelope_with_an_altered_byte_is_refused() {
    let vault = Vault::new(ring(&[("k0001", 1), ("k0002", 2)], None));
    let envelope = sealed(&vault).envelope;
    let (context, properties) = (context("acme", 7, 1), properties("a.example", 22));
    for position in 0..envelope.len() {
        for flip in [0x01, 0x03, 0x80, 0xff] {
            let mut altered = envelope.clone();
            altered[position] ^= flip;
            assert!(!opens(&vault, &context, &properties, &altered), "byte {position} ^ {flip:#x}");
        }
    }
    let envelope = vault.seal_purpose("one", b"content").unwrap().envelope;
    for position in 0..envelope.len() {
        let mut altered = envelope.clone();
        altered[position] ^= 1;
        assert!(vault.open_purpose("one", &altered).is_err(), "byte {position}");
    }
}

#[test]
fn truncated_and_extended_envelopes_are_refused() {
    let vault = vault();
    let mut envelope = sealed(&vault).envelope;
    let (context, properties) = (context("acme", 7, 1), properties("a.example", 22));
    for length in 0..envelope.len() {
        assert!(!opens(&vault, &context, &properties, &envelope[..length]), "{length} bytes");
    }
    envelope.push(0);
    assert!(!opens(&vault, &context, &properties, &envelope));
    assert!(!opens(&vault, &context, &properties, &vec![0; MAX_ENVELOPE_BYTES + 1]));
    let mut huge = envelope[..5].to_vec();
    huge.extend_from_slice(&u32::MAX.to_be_bytes());
    assert!(!opens(&vault, &context, &properties, &huge));
}

#[test]
fn an_envelope_sealed_with_an_older_catalog_still_opens() {
    let vault = vault();
    let (here, older) = (properties("a.example", 22), paths(&["host"]));
    let context = context("acme", 7, 1);
    let envelope = vault.seal(&context, &older, &here, &credential("x")).unwrap().envelope;
    // The current catalog binds `port` too. Opening uses the paths of the header, not those of the catalog.
    assert!(opens(&vault, &context, &here, &envelope));
    assert!(opens(&vault, &context, &properties("a.example", 23), &envelope), "port was not binding");
    assert!(!opens(&vault, &context, &properties("b.example", 22), &envelope));
    let none = vault.seal(&context, &[], &here, &credential("x")).unwrap().envelope;
    assert!(opens(&vault, &context, &properties("b.example", 23), &none));
}

#[test]
fn a_key_that_is_no_longer_primary_still_opens_its_envelopes() {
    let old = sealed(&Vault::new(ring(&[("k0001", 1)], None)));
    let both = Vault::new(ring(&[("k0001", 1), ("k0002", 2)], None));
    let (context, properties) = (context("acme", 7, 1), properties("a.example", 22));
    assert!(opens(&both, &context, &properties, &old.envelope));
    assert_eq!(sealed(&both).key_id, "k0002");
    let new_only = Vault::new(ring(&[("k0002", 2)], None));
    let error = new_only.open(&context, &properties, &old.envelope).err().unwrap();
    assert!(error.to_string().contains("k0001"), "{error}");
}

#[test]
fn a_credential_above_the_size_limit_is_refused() {
    let (vault, here) = (vault(), properties("a.example", 22));
    let seal = |size| vault.seal(&context("acme", 7, 1), &[], &here, &credential(&"x".repeat(size)));
    let frame = super::credential::encode(&credential("")).unwrap().len();
    assert!(seal(MAX_ENCODED_CREDENTIAL_BYTES - frame).is_ok());
    assert!(matches!(seal(MAX_ENCODED_CREDENTIAL_BYTES - frame + 1), Err(VaultError::TooLarge)));
}

#[test]
fn a_sealed_value_opens_only_for_its_purpose() {
    let vault = vault();
    let envelope = vault.seal_purpose("one", b"content").unwrap().envelope;
    assert_eq!(vault.open_purpose("one", &envelope).unwrap().as_slice(), b"content");
    for purpose in ["", "two", "onee", "on", "credential", "purpose"] {
        assert!(vault.open_purpose(purpose, &envelope).is_err(), "{purpose}");
    }
    assert!(!opens(&vault, &context("acme", 7, 1), &properties("a.example", 22), &envelope));
    assert!(vault.open_purpose("credential", &sealed(&vault).envelope).is_err());
    assert!(vault.seal_purpose("big", &vec![0; MAX_ENCODED_CREDENTIAL_BYTES + 1]).is_err());
}

#[test]
fn request_digests_are_stable_and_keyed() {
    let vault = vault();
    let (hasher, row) = RequestHasher::new_random(&vault).unwrap();
    let again = RequestHasher::from_sealed(&vault, &row.envelope).ok().unwrap();
    let (other, _) = RequestHasher::new_random(&vault).unwrap();
    let digest = hasher.digest(b"request");
    assert_eq!(digest, again.digest(b"request"));
    assert_ne!(digest, other.digest(b"request"));
    assert_ne!(digest, hasher.digest(b"requesu"));
    let foreign = vault.seal_purpose("another", &[0; 32]).unwrap();
    assert!(RequestHasher::from_sealed(&vault, &foreign.envelope).is_err());
    let short = vault.seal_purpose("request-hash-key", &[7; 16]).unwrap();
    assert!(RequestHasher::from_sealed(&vault, &short.envelope).is_err(), "a key of the wrong length");
}

#[test]
fn the_request_digest_is_hmac_sha256() {
    let vault = vault();
    let row = vault.seal_purpose("request-hash-key", &[7; 32]).unwrap();
    let hasher = RequestHasher::from_sealed(&vault, &row.envelope).ok().unwrap();
    let mut plain = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
    plain.update(b"request");
    assert_eq!(hasher.digest(b"request").as_slice(), plain.finalize().into_bytes().as_slice());
}

#[test]
fn a_canary_is_verified_only_by_its_key() {
    let vault = Vault::new(ring(&[("k0001", 1), ("k0002", 2)], None));
    let canary = vault.make_canary("k0001").unwrap().envelope;
    assert!(vault.verify_canary("k0001", &canary).is_ok());
    let swapped = Vault::new(ring(&[("k0001", 2), ("k0002", 1)], None));
    let missing = Vault::new(ring(&[("k0002", 2)], None));
    for (error, named) in [
        (swapped.verify_canary("k0001", &canary), "k0001"),
        (missing.verify_canary("k0001", &canary), "k0001"),
        (vault.verify_canary("k0002", &canary), "k0002"),
        (vault.verify_canary("k0001", &canary[1..]), "k0001"),
        (vault.verify_canary("k0001", &[]), "k0001"),
        (vault.make_canary("k0003").map(|_| ()), "k0003"),
    ] {
        let text = error.unwrap_err().to_string();
        assert!(text.contains(named), "{text}");
    }
}
