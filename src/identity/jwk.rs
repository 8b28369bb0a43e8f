//! JSON Web Key Sets (RFC 7517): which keys of a set may verify which algorithms.
//!
//! A token's header says which algorithm it used; only the key decides which it may have used.

use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

/// The most keys of a set; a set with more is refused.
pub const MAX_KEYS: usize = 100;

/// A public key and the algorithms that it may verify.
pub(super) struct VerificationKey {
    /// The id by which tokens name it.
    pub(super) kid: Option<String>,
    /// Never empty, never symmetric, all of one family.
    pub(super) algorithms: Vec<Algorithm>,
    /// The key itself.
    pub(super) key: DecodingKey,
}

/// The usable keys of a set, or `None` if the bytes are no key set or one of more than [`MAX_KEYS`].
///
/// Keys for encryption, symmetric keys, and keys of unknown or malformed kinds are left out, as RFC 7517, section 5
/// asks; there may be none left.
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
    // A key that names its algorithm is for that one alone; for one that we do not know it is for none.
    if let Some(named) = value.get("alg") {
        let named = Algorithm::from_str(named.as_str()?).ok()?;
        algorithms.retain(|algorithm| *algorithm == named);
    }
    if algorithms.is_empty() {
        return None;
    }
    Some(VerificationKey { kid: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}

/// What a key of this kind can verify: nothing for symmetric and unknown ones, nor for P-521, as the library has no ES512.
fn algorithms_of(parameters: &AlgorithmParameters) -> Vec<Algorithm> {
    match parameters {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_) | _ => Vec::new(),
    }
}
