//! An issuer's public keys: loaded at start, fetched anew for a key id that they lack, kept while the issuer is down.
//!
//! Anyone can send a token with an unknown key id, so such tokens cause at most one fetch in 30 s between them.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;

use super::Rejected;
use super::jwk::VerificationKey;
use super::key_source::{KeySetError, KeySource, Loaded, Source};

/// How long unknown key ids wait for the next fetch.
pub const FETCH_INTERVAL: Duration = Duration::from_secs(30);

/// An issuer's keys. Cloning gives another handle to the same keys.
#[derive(Clone)]
pub struct KeySet(Arc<Shared>);

struct Shared {
    source: Source,
    max_stale: Duration,
    current: RwLock<Current>,
    /// When an unknown key id last caused a fetch; held during a fetch, so that there is one at a time.
    asked: Arc<Mutex<Option<Instant>>>,
}

struct Current {
    keys: Vec<Arc<VerificationKey>>,
    digest: [u8; 32],
    generation: u64,
    loaded: Instant,
}

/// A key that fits a token, and the generation of the set that it is from.
pub(super) struct Found {
    pub(super) key: Arc<VerificationKey>,
    pub(super) generation: u64,
}

impl KeySet {
    /// Loads the set for the first time; a set without a usable key is an error.
    ///
    /// `max_stale` is how long the set is good after it was last loaded; a fixed one is good for ever.
    pub async fn load(source: KeySource, max_stale: Duration) -> Result<Self, KeySetError> {
        let source = Source::new(source)?;
        let loaded = Instant::now();
        let Loaded { keys, digest } = source.read().await?;
        let current = RwLock::new(Current { keys, digest, generation: 0, loaded });
        Ok(Self(Arc::new(Shared { source, max_stale, current, asked: Arc::default() })))
    }

    /// Loads the set again, for a task in the background; a failure leaves the keys as they are.
    pub async fn refresh(&self) -> Result<(), KeySetError> {
        let _one_at_a_time = self.0.asked.lock().await;
        self.0.fetch(Instant::now()).await
    }

    /// Whether the keys are good now; readiness asks this.
    pub async fn is_available(&self) -> bool {
        self.generation().await.is_some()
    }

    /// Names the present keys: another number once the set's content is another, `None` once it is too old.
    pub(super) async fn generation(&self) -> Option<u64> {
        let current = self.0.current.read().await;
        self.0.is_fresh(&current, Instant::now()).then_some(current.generation)
    }

    /// The key of that id for that algorithm, fetched if need be.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Found, Rejected> {
        self.find_at(kid, algorithm, Instant::now()).await
    }

    /// [`Self::find`] at a given time.
    pub(super) async fn find_at(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Instant,
    ) -> Result<Found, Rejected> {
        let first = self.0.look(kid, algorithm, now).await;
        if !needs_fetch(&first) {
            return first;
        }
        let mut asked = Arc::clone(&self.0.asked).lock_owned().await;
        // Another caller may have fetched while this one waited.
        let second = self.0.look(kid, algorithm, now).await;
        let recently = asked.is_some_and(|time| now.saturating_duration_since(time) < FETCH_INTERVAL);
        if recently || !needs_fetch(&second) {
            return second;
        }
        *asked = Some(now);
        // In a task of its own: a caller that hangs up must not end the fetch that others wait for.
        let shared = Arc::clone(&self.0);
        let fetch = tokio::spawn(async move {
            let _one_at_a_time = asked;
            if let Err(error) = shared.fetch(now).await {
                tracing::warn!(%error, "an issuer's key set could not be loaded; the last one stays in use");
            }
        });
        if fetch.await.is_err() {
            tracing::error!("loading an issuer's key set ended abnormally");
        }
        self.0.look(kid, algorithm, now).await
    }
}

impl Shared {
    async fn look(&self, kid: Option<&str>, algorithm: Algorithm, now: Instant) -> Result<Found, Rejected> {
        let current = self.current.read().await;
        if !self.is_fresh(&current, now) {
            return Err(Rejected::KeysUnavailable);
        }
        let named: Vec<_> = match (kid, current.keys.as_slice()) {
            (None, [only]) => vec![only],
            (None, _) => return Err(Rejected::NoKeyId),
            (Some(kid), keys) => keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect(),
        };
        if named.is_empty() {
            return Err(Rejected::UnknownKey);
        }
        let key = named.into_iter().find(|key| key.algorithms.contains(&algorithm)).ok_or(Rejected::Algorithm)?;
        Ok(Found { key: Arc::clone(key), generation: current.generation })
    }

    fn is_fresh(&self, current: &Current, now: Instant) -> bool {
        self.source.is_fixed() || now.saturating_duration_since(current.loaded) <= self.max_stale
    }

    async fn fetch(&self, now: Instant) -> Result<(), KeySetError> {
        let Loaded { keys, digest } = self.source.read().await?;
        let mut current = self.current.write().await;
        current.loaded = now;
        if current.digest != digest {
            current.generation += 1;
            current.digest = digest;
            current.keys = keys;
        }
        Ok(())
    }
}

/// Whether a look at the keys that are there is not enough.
fn needs_fetch(answer: &Result<Found, Rejected>) -> bool {
    matches!(answer, Err(Rejected::UnknownKey | Rejected::KeysUnavailable))
}
