//! Tokens that were verified lately, by their SHA-256.
//!
//! Verifying an Ed25519 signature takes some 40 µs, and services send one token for hours; a look here takes less.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::VerifiedIdentity;
use super::claims::is_live;

/// The most tokens that are remembered.
pub(super) const MAX_TOKENS: usize = 2048;

/// What is remembered of a token.
#[derive(Clone)]
pub(super) struct Entry {
    /// Who it is.
    pub(super) identity: VerifiedIdentity,
    /// The place of its issuer in the verifier's list.
    pub(super) issuer: usize,
    /// The generation of the issuer's key set; the entry is worth nothing once the set is another.
    pub(super) generation: u64,
}

/// A bounded map from token to identity.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<[u8; 32], Entry>>);

impl Cache {
    /// The entry of a token, unless the token has expired.
    pub(super) fn get(&self, token: &str, now: DateTime<Utc>) -> Option<Entry> {
        self.entries().get(&key(token)).filter(|entry| is_live(entry.identity.expire_time, now)).cloned()
    }

    /// Remembers a token. A full cache drops what has expired, and everything if that is not enough.
    pub(super) fn insert(&self, token: &str, entry: Entry, now: DateTime<Utc>) {
        let mut entries = self.entries();
        if entries.len() >= MAX_TOKENS {
            entries.retain(|_, entry| is_live(entry.identity.expire_time, now));
        }
        if entries.len() >= MAX_TOKENS {
            entries.clear();
        }
        entries.insert(key(token), entry);
    }

    /// How many tokens are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }

    /// No one panics while holding the lock, and half an insertion cannot be seen: a poisoned map is still good.
    fn entries(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
