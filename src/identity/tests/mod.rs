//! Tests of tokens, key sets and development identities.
//!
//! Tokens are assembled by hand, as an attacker could, and signed with real keys.

mod client_certificates;
mod development;
mod discovery;
mod fuzzed;
mod invalid_tokens;
mod key_set_errors;
mod key_sets;
mod rejections;
mod shapes;
mod valid_tokens;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;
use crate::model::{Caller, ClaimPath, IssuerSettings, OrganizationId, Role, Unavailable};

/// The time of these tests, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

const ISSUER: &str = "https://issuer.example";

/// The private keys of the tests, generated once.
struct Keys {
    rsa: EncodingKey,
    p256: EncodingKey,
    p384: EncodingKey,
    ed25519: EncodingKey,
    /// A key that is not in the key set.
    foreign: EncodingKey,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let rsa = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(rsa.as_ref()));
        Keys {
            rsa: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            p256: ec_key(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ec_key(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed25519: ed_key(),
            foreign: ed_key(),
        }
    })
}

fn ec_key(algorithm: &'static EcdsaSigningAlgorithm) -> EncodingKey {
    EncodingKey::from_ec_der(EcdsaKeyPair::generate(algorithm).unwrap().to_pkcs8v1().unwrap().as_ref())
}

fn ed_key() -> EncodingKey {
    EncodingKey::from_ed_der(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
}

/// The public key as a member of a key set, without `alg`.
fn public(kid: &str, key: &EncodingKey, algorithm: Algorithm) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    let members = jwk.as_object_mut().unwrap();
    members.remove("alg");
    members.insert("kid".to_owned(), json!(kid));
    members.insert("use".to_owned(), json!("sig"));
    jwk
}

fn key_set() -> Value {
    let keys = keys();
    json!({"keys": [
        public("rsa", &keys.rsa, Algorithm::RS256),
        public("p256", &keys.p256, Algorithm::ES256),
        public("p384", &keys.p384, Algorithm::ES384),
        public("ed", &keys.ed25519, Algorithm::EdDSA),
    ]})
}

fn settings() -> IssuerSettings {
    IssuerSettings {
        issuer: ISSUER.to_owned(),
        audience_claim: path("aud"),
        audiences: vec!["outflow".to_owned(), "https://outflow.example".to_owned()],
        required_claims: Vec::new(),
        principal_prefix: "corp:".to_owned(),
        principal_claim: path("sub"),
        organization_claim: path("org"),
        organization_values: None,
        roles_claim: path("realm_access.roles"),
        role_values: None,
        groups_claim: Some(path("https://issuer.example/groups")),
    }
}

fn path(text: &str) -> ClaimPath {
    ClaimPath::parse(text).unwrap()
}

impl Verifier {
    /// Verifies a token; returns the reason alone if it is refused.
    async fn check(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Caller>, AuthnError> {
        self.verify(token, now).await.map_err(|rejection| rejection.reason)
    }
}

async fn verifier_of(settings: IssuerSettings, set: &Value) -> Verifier {
    let keys = KeySet::load(KeySource::Fixed(set.to_string()), Duration::from_mins(1)).await.unwrap();
    Verifier::new(vec![Issuer { settings, keys }]).ok().unwrap()
}

async fn verifier() -> Verifier {
    verifier_of(settings(), &key_set()).await
}

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "aud": "outflow",
        "sub": "ann",
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "exp": NOW + 3600,
        "org": "acme",
        "realm_access": {"roles": ["admin", "something else", "VIEWER", "admin"]},
        "https://issuer.example/groups": ["sales", "marketing", "sales"],
    })
}

/// The valid claims with one of them replaced, or removed if the value is `null`.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name)
    } else {
        members.insert(name.to_owned(), value)
    };
    claims
}

fn encode(part: &str) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// A token with exactly this header and payload, signed with this algorithm and key.
fn signed(header: &Value, payload: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", encode(&header.to_string()), encode(payload));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A token with these claims and a valid header and signature.
fn token(claims: &Value) -> String {
    signed(&json!({"alg": "EdDSA", "kid": "ed"}), &claims.to_string(), Algorithm::EdDSA, &keys().ed25519)
}

fn at(offset: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(NOW + offset, 0).unwrap()
}
