//! Verifies tokens: the issuer, the key, the signature, then the claims.
//!
//! Only asymmetric algorithms are accepted, and of these only those that the key permits. The clock is a parameter.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{AlgorithmFamily, crypto, decode_header};
use moka::sync::Cache;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::claims::{self, IssuerSettings, is_live};
use super::error::AuthnError;
use super::keyset::KeySet;
use crate::model::Caller;

/// The longest token in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Maximum number of verified tokens in the cache.
pub(super) const MAX_CACHED_TOKENS: u64 = 2048;

/// An issuer whose tokens are accepted.
pub struct Issuer {
    /// Its name, audiences and claims.
    pub settings: IssuerSettings,
    /// Its key set.
    pub keys: KeySet,
}

/// Why a list of issuers is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuersError {
    /// The list is empty.
    #[error("no issuer is configured")]
    None,
    /// An issuer has no name or no audience. It would accept tokens that are meant for others.
    #[error("issuer {0:?} must have a name and at least one audience, none of them empty")]
    Incomplete(String),
    /// An issuer is listed twice.
    #[error("issuer {0:?} is a duplicate")]
    DuplicateIssuer(String),
    /// Two issuers have the same prefix. Different people would have the same principal.
    #[error("principal prefix {0:?} is a duplicate; each issuer must have its own, and one may be empty")]
    DuplicatePrefix(String),
}

/// Verifies the tokens of configured issuers.
pub struct Verifier {
    issuers: Vec<Issuer>,
    /// The prefix of principals that no issuer has.
    reserved_prefix: Option<String>,
    /// Verified tokens by their SHA-256. Verifying an Ed25519 signature takes about 40 µs, a look-up less than 1 µs, and
    /// services send the same token for hours.
    cache: Cache<[u8; 32], Verified>,
}

/// A verified token.
#[derive(Clone)]
struct Verified {
    caller: Arc<Caller>,
    /// The index of its issuer in the list of the verifier.
    issuer: usize,
    /// The generation of the key set that verified it. The entry is invalid once the set has another generation.
    generation: u64,
}

impl Verifier {
    /// Creates a verifier. Fails if the issuers are incomplete or not distinguishable.
    pub fn new(issuers: Vec<Issuer>) -> Result<Self, IssuersError> {
        let (mut names, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
        for IssuerSettings { issuer, audiences, principal_prefix, .. } in issuers.iter().map(|issuer| &issuer.settings)
        {
            if issuer.is_empty() || audiences.is_empty() || audiences.iter().any(String::is_empty) {
                return Err(IssuersError::Incomplete(issuer.clone()));
            }
            if !names.insert(issuer) {
                return Err(IssuersError::DuplicateIssuer(issuer.clone()));
            }
            if !prefixes.insert(principal_prefix) {
                return Err(IssuersError::DuplicatePrefix(principal_prefix.clone()));
            }
        }
        if issuers.is_empty() {
            return Err(IssuersError::None);
        }
        Ok(Self { issuers, reserved_prefix: None, cache: Cache::new(MAX_CACHED_TOKENS) })
    }

    /// Reserves the prefix of the principals of client certificates.
    pub fn reserve_prefix(&mut self, prefix: &str) {
        self.reserved_prefix = Some(prefix.to_owned());
    }

    /// Verifies a token and returns its caller. It may wait for a refresh of the issuer's keys, 2.5 s at most.
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Caller>, AuthnError> {
        if token.is_empty() {
            return Err(AuthnError::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthnError::TooLong);
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(caller) = self.cached(&digest, now).await {
            return Ok(caller);
        }
        let verified = self.verify_uncached(token, now).await?;
        let caller = Arc::clone(&verified.caller);
        self.cache.insert(digest, verified);
        Ok(caller)
    }

    /// Returns the number of cached tokens.
    #[cfg(test)]
    pub(super) fn cached_tokens(&self) -> u64 {
        self.cache.run_pending_tasks();
        self.cache.entry_count()
    }

    /// Returns the cached caller of a token that has not expired and whose issuer still has the keys that verified it.
    async fn cached(&self, digest: &[u8; 32], now: DateTime<Utc>) -> Option<Arc<Caller>> {
        let verified = self.cache.get(digest).filter(|verified| is_live(verified.caller.expire_time, now))?;
        let generation = self.issuers.get(verified.issuer)?.keys.generation().await?;
        (generation == verified.generation).then_some(verified.caller)
    }

    async fn verify_uncached(&self, token: &str, now: DateTime<Utc>) -> Result<Verified, AuthnError> {
        let parts: Vec<&str> = token.split('.').collect();
        let [_, payload, signature] = parts.as_slice() else { return Err(AuthnError::Malformed) };
        let header = decode_header(token).map_err(|_| AuthnError::Malformed)?;
        // RFC 7515, section 4.1.11: extensions in `crit` must be understood, and none is supported.
        if header.crit.is_some() {
            return Err(AuthnError::Malformed);
        }
        if header.alg.family() == AlgorithmFamily::Hmac {
            return Err(AuthnError::Algorithm);
        }
        let Claims(claims) = decode_part(payload)?;
        let (index, issuer) = self.issuer_of(&claims)?;
        let found = issuer.keys.find(header.kid.as_deref(), header.alg).await?;
        let message = token.strip_suffix(signature).and_then(|rest| rest.strip_suffix('.'));
        let message = message.ok_or(AuthnError::Malformed)?;
        let valid = crypto::verify(signature, message.as_bytes(), &found.key.key, header.alg);
        if !valid.unwrap_or(false) {
            return Err(AuthnError::Signature);
        }
        let caller = claims::caller(&issuer.settings, &claims, now)?;
        self.check_prefix(&issuer.settings, &caller.principal)?;
        Ok(Verified { caller: Arc::new(caller), issuer: index, generation: found.generation })
    }

    /// Finds the issuer that a token names. Whether it issued the token is unknown until the signature is verified.
    fn issuer_of(&self, claims: &Map<String, Value>) -> Result<(usize, &Issuer), AuthnError> {
        let name = claims.get("iss").and_then(Value::as_str).ok_or(AuthnError::Issuer)?;
        self.issuers.iter().enumerate().find(|(_, issuer)| issuer.settings.issuer == name).ok_or(AuthnError::Issuer)
    }

    /// Refuses a subject that would make the principal look like one of an issuer with a longer prefix.
    fn check_prefix(&self, own: &IssuerSettings, principal: &str) -> Result<(), AuthnError> {
        let prefixes = self.issuers.iter().map(|issuer| &issuer.settings.principal_prefix).chain(&self.reserved_prefix);
        let foreign = claims::is_foreign(principal, &own.principal_prefix, prefixes.map(String::as_str));
        if foreign { Err(AuthnError::Subject) } else { Ok(()) }
    }
}

/// Returns the token of an `authorization` header: `Bearer <token>`, the scheme in any case.
///
/// Fails with [`AuthnError::Missing`] without a value or token, and with [`AuthnError::Malformed`] for another scheme.
pub fn bearer_token(value: Option<&str>) -> Result<&str, AuthnError> {
    let value = value.ok_or(AuthnError::Missing)?.trim();
    if value.is_empty() {
        return Err(AuthnError::Missing);
    }
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthnError::Malformed);
    }
    let token = token.trim_start();
    if token.is_empty() { Err(AuthnError::Missing) } else { Ok(token) }
}

fn decode_part(part: &str) -> Result<Claims, AuthnError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthnError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| AuthnError::Malformed)
}

/// The claims of a token. A duplicate claim is an error, because two parsers could read different values (RFC 7519,
/// section 4).
struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object without duplicate claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Claims, A::Error> {
        let mut claims = Map::new();
        while let Some((name, value)) = access.next_entry()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate claim"));
            }
        }
        Ok(Claims(claims))
    }
}
