//! JSON Web Key Sets (RFC 7517): the usable keys of a set and the algorithms that each may verify.
//!
//! The header of a token names its algorithm; the key alone decides whether that algorithm is permitted.

use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};

/// Maximum number of keys of a set. A larger set is refused.
pub const MAX_KEYS: usize = 100;

/// A public key and the algorithms that it may verify.
pub(super) struct VerificationKey {
    /// Its id, by which tokens name it.
    pub(super) kid: Option<String>,
    /// The permitted algorithms: at least one, none symmetric, all of one family.
    pub(super) algorithms: Vec<Algorithm>,
    /// The public key.
    pub(super) key: DecodingKey,
}

/// Parses the usable keys of a set. Returns `None` if the bytes are not a key set or it has more than [`MAX_KEYS`].
///
/// Ignores keys for encryption, symmetric keys, and keys of unknown types or with invalid members, as RFC 7517, section 5
/// recommends. The result may be empty.
pub(super) fn parse_set(bytes: &[u8]) -> Option<Vec<VerificationKey>> {
    let set: Value = serde_json::from_slice(bytes).ok()?;
    let keys = set.get("keys")?.as_array()?;
    if keys.len() > MAX_KEYS {
        return None;
    }
    Some(keys.iter().filter_map(verification_key).collect())
}

/// The members that describe a public key. Others, such as certificates, do not matter, whatever their form is.
const KEY_MEMBERS: [&str; 7] = ["kty", "crv", "x", "y", "n", "e", "k"];

fn verification_key(value: &Value) -> Option<VerificationKey> {
    let members = value.as_object()?;
    let has = |name: &str, wanted: &str| {
        members.get(name).and_then(Value::as_array).is_none_or(|values| values.iter().any(|value| value == wanted))
    };
    // RFC 7517, sections 4.2 and 4.3.
    if members.get("use").is_some_and(|purpose| purpose != "sig") || !has("key_ops", "verify") {
        return None;
    }
    let kid = match members.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let key = members.iter().filter(|(name, _)| KEY_MEMBERS.contains(&name.as_str()));
    let key: Map<String, Value> = key.map(|(name, value)| (name.clone(), value.clone())).collect();
    let jwk: Jwk = serde_json::from_value(Value::Object(key)).ok()?;
    let mut algorithms = algorithms_of(&jwk.algorithm);
    // A key with `alg` may verify that algorithm only, or none if the algorithm is unknown.
    if let Some(named) = members.get("alg") {
        let named = parse_algorithm(named.as_str()?)?;
        algorithms.retain(|algorithm| *algorithm == named);
    }
    if algorithms.is_empty() {
        return None;
    }
    Some(VerificationKey { kid, algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}

/// Parses the name of an algorithm. `Ed25519` (RFC 9864) is `EdDSA` with the only curve that is supported.
pub(super) fn parse_algorithm(name: &str) -> Option<Algorithm> {
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { Algorithm::from_str(name).ok() }
}

/// Returns the algorithms that a key of this type can verify. There are none for symmetric and unknown keys, nor for P-521,
/// because the library has no ES512.
fn algorithms_of(parameters: &AlgorithmParameters) -> Vec<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => Vec::new(),
    }
}
