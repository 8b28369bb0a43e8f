//! JSON Web Key Sets (RFC 7517): the usable keys of a set and the algorithms that each may verify.
//!
//! The header of a token names its algorithm; the key alone decides whether that algorithm is permitted.

use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

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

fn verification_key(value: &Value) -> Option<VerificationKey> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let mut algorithms = algorithms_of(&jwk.algorithm);
    // A key with `alg` may verify that algorithm only, or none if the algorithm is unknown.
    if let Some(named) = value.get("alg") {
        let named = Algorithm::from_str(named.as_str()?).ok()?;
        algorithms.retain(|algorithm| *algorithm == named);
    }
    if algorithms.is_empty() {
        return None;
    }
    Some(VerificationKey { kid: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
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
