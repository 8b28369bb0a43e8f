//! Verifies tokens: the issuer, the key, the signature, then the claims.
//!
//! Only asymmetric algorithms are accepted, and of these only those that the key permits. The clock is a parameter.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, crypto};
use moka::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::claims;
use super::error::{AuthnError, Compared, Fault, Rejection, shown, shown_list};
use super::keyset::KeySet;
use super::parsed_token::{Header, MAX_SHOWN_HEADER_CHARS, ParsedToken};
use super::times::is_live;
use crate::model::{Caller, IssuerSettings, excerpt};

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
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Caller>, Rejection> {
        if token.is_empty() {
            return Err(AuthnError::Missing.into());
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthnError::TooLong.into());
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(caller) = self.cached(&digest, now).await {
            return Ok(caller);
        }
        let parsed = ParsedToken::parse(token)?;
        let verified =
            self.verify_uncached(&parsed, now).await.map_err(|fault| self.rejection(fault, &parsed.claims))?;
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

    async fn verify_uncached(&self, token: &ParsedToken<'_>, now: DateTime<Utc>) -> Result<Verified, Fault> {
        let Header { algorithm, kid } = token.header()?;
        let (index, issuer) = self.issuer_of(&token.claims)?;
        let kid = kid.as_deref();
        let found = issuer.keys.find(kid, algorithm).await.map_err(|reason| key_fault(reason, kid, algorithm))?;
        let valid = crypto::verify(token.signature, token.message.as_bytes(), &found.key.key, algorithm);
        if !valid.unwrap_or(false) {
            return Err(AuthnError::Signature.into());
        }
        let caller = claims::caller(&issuer.settings, &token.claims, now)?;
        self.check_prefix(&issuer.settings, &caller.principal)?;
        Ok(Verified { caller: Arc::new(caller), issuer: index, generation: found.generation })
    }

    /// Finds the issuer that a token names. Whether it issued the token is unknown until the signature is verified.
    fn issuer_of(&self, claims: &Map<String, Value>) -> Result<(usize, &Issuer), Fault> {
        let name = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let found = self.issuers.iter().enumerate().find(|(_, issuer)| issuer.settings.issuer == name);
        found.ok_or_else(|| {
            let bare = |name: &str| name.trim_end_matches('/').to_owned();
            if self.issuers.iter().any(|issuer| bare(&issuer.settings.issuer) == bare(name)) {
                return Fault::new(AuthnError::Issuer, "the issuer differs from a configured one in a trailing slash");
            }
            AuthnError::Issuer.into()
        })
    }

    /// What the log shows about a token that failed a check.
    fn rejection(&self, Fault { reason, detail }: Fault, claims: &Map<String, Value>) -> Rejection {
        let known = self.issuer_of(claims).ok().map(|(_, issuer)| &issuer.settings);
        let names = self.issuers.iter().map(|issuer| issuer.settings.issuer.as_str());
        let audience = known.map_or_else(|| claims.get("aud"), |known| known.audience_claim.find(claims));
        let compared = Compared {
            expected_issuer: known
                .map_or_else(|| shown_list(names), |known| shown_list(std::iter::once(known.issuer.as_str()))),
            seen_issuer: shown(claims.get("iss")),
            expected_audience: known.map(|known| shown_list(known.audiences.iter().map(String::as_str))),
            seen_audience: shown(audience),
        };
        Rejection { reason, detail, compared: Some(Box::new(compared)) }
    }

    /// Refuses a subject that would make the principal look like one of an issuer with a longer prefix.
    fn check_prefix(&self, own: &IssuerSettings, principal: &str) -> Result<(), Fault> {
        let prefixes = self.issuers.iter().map(|issuer| &issuer.settings.principal_prefix).chain(&self.reserved_prefix);
        let foreign = claims::is_foreign(principal, &own.principal_prefix, prefixes.map(String::as_str));
        if foreign {
            return Err(Fault::new(AuthnError::Subject, "the principal begins with the prefix of another issuer"));
        }
        Ok(())
    }
}

/// Explains why there is no key for a token.
fn key_fault(reason: AuthnError, kid: Option<&str>, algorithm: Algorithm) -> Fault {
    let kid = kid
        .map_or_else(|| "no key id".to_owned(), |kid| format!("the key id `{}`", excerpt(kid, MAX_SHOWN_HEADER_CHARS)));
    let detail = format!("{}; it has {kid} and the algorithm {algorithm:?}", reason.description());
    Fault::new(reason, detail)
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
