//! Remembers which batches of a run were acknowledged, so that a later attempt goes on after them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::delivery::DeliveryError;
use crate::delivery::destinations::Delivery;
use crate::model::FailureCode;

/// Minimum time between two saves.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// What is saved for later attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Number of the attempt that sent the first batch; it is part of the ids.
    start: u32,
    /// What tells these rows from others; empty if that is not known.
    #[serde(default)]
    fingerprint: String,
    /// Number of batches that were acknowledged, in the order of the run.
    acknowledged: u64,
    /// SHA-256 of the acknowledged bodies, in hexadecimal.
    digest: String,
    /// Whether all batches of the run were acknowledged.
    complete: bool,
}

/// Which batches were acknowledged, in the order of the run.
pub(super) struct Acknowledgements {
    delivery: Delivery,
    start: u32,
    /// Whether it is saved which rows the ids stand for.
    begun: bool,
    /// What an earlier attempt sent, until this attempt has passed the same rows.
    earlier: Option<State>,
    passed: u64,
    digest: Sha256,
    /// Number of batches at the last save, and its time.
    saved: (u64, Instant),
}

impl Acknowledgements {
    /// Reads the state of earlier attempts. `None` if they sent everything.
    pub(super) fn resume(delivery: &Delivery) -> Option<Self> {
        let earlier = delivery.saved_state.as_deref().map(serde_json::from_str::<State>).transpose();
        let earlier = match earlier {
            Ok(Some(state)) if state.complete => return None,
            Ok(Some(state)) if delivery.fingerprint.as_ref() == Some(&state.fingerprint) => Some(state),
            // No attempt sent anything, the rows may be others than before, or this release cannot read what was saved: the
            // ids must be new.
            Ok(_) | Err(_) => None,
        };
        Some(Self {
            delivery: delivery.clone(),
            start: earlier.as_ref().map_or(delivery.attempt, |state| state.start),
            begun: earlier.is_some(),
            earlier: earlier.filter(|state| state.acknowledged > 0),
            passed: 0,
            digest: Sha256::new(),
            saved: (0, Instant::now()),
        })
    }

    /// The id of a batch: the same in every attempt that sends the same batch.
    pub(super) fn id(&self, table: usize, batch: u64) -> String {
        format!("{}-{}-{table}-{batch}", self.delivery.run, self.start)
    }

    /// Whether an earlier attempt sent the next batch. Fails with SOURCE_CHANGED if it sent other rows; then the next
    /// attempt starts over, with new ids.
    pub(super) async fn skip(&mut self, body: &[u8]) -> Result<bool, DeliveryError> {
        let Some(earlier) = self.earlier.take() else { return Ok(false) };
        self.pass(body);
        if self.passed == earlier.acknowledged && self.digest() == earlier.digest {
            self.saved = (self.passed, Instant::now());
            return Ok(true);
        }
        let differs = self.passed == earlier.acknowledged;
        // While it is set, nothing else is saved.
        self.earlier = Some(earlier);
        if differs { Err(self.start_over().await) } else { Ok(true) }
    }

    /// Saves which rows the ids stand for, before the first of them is sent: a receiver drops ids that it knows, so another
    /// attempt must not send other rows with them.
    pub(super) async fn begin(&mut self) -> Result<(), DeliveryError> {
        if !self.begun && self.delivery.fingerprint.is_some() {
            self.write(&self.state(false)).await?;
        }
        self.begun = true;
        Ok(())
    }

    /// Records that the batch was acknowledged, and saves that if the last save was a second ago.
    pub(super) async fn acknowledge(&mut self, body: &[u8]) -> Result<(), DeliveryError> {
        self.pass(body);
        if self.saved.1.elapsed() >= SAVE_INTERVAL { self.save().await } else { Ok(()) }
    }

    /// Saves the number of acknowledged batches, unless it is saved already.
    pub(super) async fn save(&mut self) -> Result<(), DeliveryError> {
        if self.earlier.is_some() || self.passed == self.saved.0 || self.delivery.fingerprint.is_none() {
            return Ok(());
        }
        self.write(&self.state(false)).await?;
        self.saved = (self.passed, Instant::now());
        Ok(())
    }

    /// Saves that all batches were acknowledged.
    pub(super) async fn complete(&mut self) -> Result<(), DeliveryError> {
        if self.earlier.is_some() {
            return Err(self.start_over().await);
        }
        self.write(&self.state(true)).await
    }

    async fn start_over(&self) -> DeliveryError {
        let state = State { start: self.delivery.attempt + 1, fingerprint: self.fingerprint(), ..State::default() };
        match self.write(&state).await {
            Ok(()) => DeliveryError::new(
                FailureCode::SourceChanged,
                "the rows are not those that an earlier attempt sent; the next attempt sends all rows again",
            ),
            Err(error) => error,
        }
    }

    fn pass(&mut self, body: &[u8]) {
        self.passed += 1;
        self.digest.update((body.len() as u64).to_be_bytes());
        self.digest.update(body);
    }

    fn digest(&self) -> String {
        self.digest.clone().finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn fingerprint(&self) -> String {
        self.delivery.fingerprint.clone().unwrap_or_default()
    }

    fn state(&self, complete: bool) -> State {
        let (fingerprint, digest) = (self.fingerprint(), self.digest());
        State { start: self.start, fingerprint, acknowledged: self.passed, digest, complete }
    }

    async fn write(&self, state: &State) -> Result<(), DeliveryError> {
        let text = serde_json::to_string(state)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "the state of the delivery", error))?;
        self.delivery.state_log.save(&text).await
    }
}
