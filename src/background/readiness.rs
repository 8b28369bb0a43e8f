//! Checks whether the server is ready to serve.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::key_refresh::IssuerKeys;
use super::task::{Task, TaskError};
use crate::app::App;

/// The time between two checks.
const INTERVAL: Duration = Duration::from_secs(5);
/// Consecutive failures after which the server is not ready any more.
const MAX_FAILURES: u32 = 2;

/// Publishes whether the server is ready: the database responds and has the schema, and the keys of every issuer are
/// available.
pub struct Readiness {
    app: App,
    /// The keys of issuers; those of the development identity are always available.
    issuer_keys: Vec<IssuerKeys>,
    failures: AtomicU32,
    ready: watch::Sender<bool>,
}

impl Readiness {
    /// Not ready until the first check.
    pub fn new(app: App, issuer_keys: Vec<IssuerKeys>) -> Self {
        Self { app, issuer_keys, failures: AtomicU32::new(MAX_FAILURES), ready: watch::Sender::new(false) }
    }

    /// Subscribes to changes.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Checks once. One success makes the server ready, two failures in a row make it not ready.
    pub async fn check(&self) {
        let mut keys_available = true;
        for issuer in &self.issuer_keys {
            keys_available &= issuer.keys.is_available().await;
        }
        let failures = if keys_available && self.app.is_ready().await {
            self.failures.store(0, Ordering::Relaxed);
            0
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
        };
        let ready = failures < MAX_FAILURES;
        self.ready.send_if_modified(|last| std::mem::replace(last, ready) != ready);
    }
}

#[async_trait::async_trait]
impl Task for Readiness {
    fn name(&self) -> &'static str {
        "readiness"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        self.check().await;
        Ok(())
    }
}
