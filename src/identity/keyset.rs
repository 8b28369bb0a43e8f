//! The public keys of an issuer: loaded at start, refreshed by a background task, kept while the issuer is unavailable.
//!
//! A token with an unknown key id requests a refresh. Anyone can send such tokens, so they cause at most one fetch per 30 s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, watch};
use tokio::time::Instant;

use super::error::AuthnError;
use super::jwk::VerificationKey;
use super::key_set_error::KeySetError;
use super::key_source::{FETCH_TIMEOUT, KeySource, Loaded, Source};

/// The shortest interval between two fetches that unknown key ids cause.
pub const FETCH_INTERVAL: Duration = Duration::from_secs(30);
/// How long a call with an unknown key id waits for a refresh. It is longer than [`FETCH_TIMEOUT`].
const REFRESH_TIMEOUT: Duration = FETCH_TIMEOUT.saturating_add(Duration::from_millis(500));

/// The keys of an issuer. A clone is another handle to the same keys.
#[derive(Clone)]
pub struct KeySet(Arc<Shared>);

struct Shared {
    source: Source,
    max_stale: Duration,
    /// `None` until the set was loaded.
    current: RwLock<Option<Current>>,
    loaded: AtomicBool,
    request: Mutex<Request>,
    /// Wakes the background task.
    requested: Notify,
    /// The number of finished refreshes.
    finished: watch::Sender<u64>,
}

struct Current {
    keys: Vec<Arc<VerificationKey>>,
    digest: [u8; 32],
    generation: u64,
    loaded: Instant,
}

/// The last fetch that an unknown key id requested.
#[derive(Default)]
struct Request {
    time: Option<Instant>,
    pending: bool,
}

/// The key of a token, and the generation of its set.
pub(super) struct Found {
    pub(super) key: Arc<VerificationKey>,
    pub(super) generation: u64,
}

impl KeySet {
    /// Opens a set without loading it. Fails if its source cannot be that of a key set.
    ///
    /// `max_stale` is how long the set may be used after it was last loaded. A fixed set may be used without limit.
    pub fn open(source: KeySource, max_stale: Duration) -> Result<Self, KeySetError> {
        Ok(Self(Arc::new(Shared {
            source: Source::new(source)?,
            max_stale,
            current: RwLock::new(None),
            loaded: AtomicBool::new(false),
            request: Mutex::default(),
            requested: Notify::new(),
            finished: watch::Sender::new(0),
        })))
    }

    /// Opens and loads a set. A set without a usable key is an error.
    pub async fn load(source: KeySource, max_stale: Duration) -> Result<Self, KeySetError> {
        let set = Self::open(source, max_stale)?;
        set.0.fetch(Instant::now()).await?;
        Ok(set)
    }

    /// Whether the set comes from another host, which can be unavailable.
    pub fn is_remote(&self) -> bool {
        self.0.source.is_remote()
    }

    /// Whether the set was ever loaded.
    pub fn was_loaded(&self) -> bool {
        self.0.loaded.load(Ordering::Acquire)
    }

    /// Wakes the background task that refreshes the set.
    pub fn request_refresh(&self) {
        self.0.requested.notify_one();
    }

    /// Loads the set again. A failure leaves the keys as they are.
    pub async fn refresh(&self) -> Result<(), KeySetError> {
        let refreshed = self.0.fetch(Instant::now()).await;
        self.0.request.lock().pending = false;
        self.0.finished.send_modify(|count| *count += 1);
        refreshed
    }

    /// Resolves when a token needs a refresh.
    pub async fn refresh_requested(&self) {
        self.0.requested.notified().await;
    }

    /// Whether the keys may be used now. Readiness depends on it.
    pub async fn is_available(&self) -> bool {
        self.generation().await.is_some()
    }

    /// Returns the generation of the current keys, which changes with their content. Returns `None` if they are stale.
    pub(super) async fn generation(&self) -> Option<u64> {
        let current = self.0.current.read().await;
        current.as_ref().filter(|current| self.0.is_fresh(current, Instant::now())).map(|current| current.generation)
    }

    /// Finds the key with an id for an algorithm. Waits for a refresh if the set does not have the key.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Found, AuthnError> {
        self.find_at(kid, algorithm, Instant::now()).await
    }

    /// [`Self::find`] at a given time.
    pub(super) async fn find_at(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Instant,
    ) -> Result<Found, AuthnError> {
        let found = self.0.look_up(kid, algorithm, now).await;
        if !matches!(found, Err(AuthnError::UnknownKey | AuthnError::KeysUnavailable)) {
            return found;
        }
        if let Some(mut finished) = self.0.request_refresh(now) {
            // If the refresh does not finish in time, the current keys decide.
            let _ = tokio::time::timeout(REFRESH_TIMEOUT, finished.changed()).await;
        }
        self.0.look_up(kid, algorithm, now).await
    }
}

impl Shared {
    /// Requests a refresh, unless one was requested in the last 30 s. If one is pending, returns a receiver that changes when
    /// it finishes.
    fn request_refresh(&self, now: Instant) -> Option<watch::Receiver<u64>> {
        if self.source.is_fixed() {
            return None;
        }
        let mut request = self.request.lock();
        let recent = request.time.is_some_and(|time| now.saturating_duration_since(time) < FETCH_INTERVAL);
        if !request.pending && !recent {
            *request = Request { time: Some(now), pending: true };
            self.requested.notify_one();
        }
        request.pending.then(|| self.finished.subscribe())
    }

    async fn look_up(&self, kid: Option<&str>, algorithm: Algorithm, now: Instant) -> Result<Found, AuthnError> {
        let current = self.current.read().await;
        let current = current.as_ref().filter(|current| self.is_fresh(current, now));
        let current = current.ok_or(AuthnError::KeysUnavailable)?;
        let named: Vec<_> = match (kid, current.keys.as_slice()) {
            (None, [only]) => vec![only],
            (None, _) => return Err(AuthnError::NoKeyId),
            (Some(kid), keys) => keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).collect(),
        };
        if named.is_empty() {
            return Err(AuthnError::UnknownKey);
        }
        let key = named.into_iter().find(|key| key.algorithms.contains(&algorithm)).ok_or(AuthnError::Algorithm)?;
        Ok(Found { key: Arc::clone(key), generation: current.generation })
    }

    fn is_fresh(&self, current: &Current, now: Instant) -> bool {
        self.source.is_fixed() || now.saturating_duration_since(current.loaded) <= self.max_stale
    }

    async fn fetch(&self, now: Instant) -> Result<(), KeySetError> {
        let Loaded { keys, digest } = self.source.read().await?;
        let mut current = self.current.write().await;
        let last = current.take();
        let generation = match &last {
            Some(last) if last.digest == digest => last.generation,
            Some(last) => last.generation + 1,
            None => 0,
        };
        *current = Some(Current { keys, digest, generation, loaded: now });
        self.loaded.store(true, Ordering::Release);
        Ok(())
    }
}
