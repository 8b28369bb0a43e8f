//! What every destination does.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile, OutputFormat};
use crate::model::json::Object;
use crate::model::{Check, CredentialSecret, OrganizationId, ResourceId};

/// What a destination connects to: a connection, and the settings of an export on it.
pub struct Target {
    /// The organization that both belong to.
    pub organization: OrganizationId,
    /// Values of the fields of the connection type, with defaults filled in.
    pub properties: Object,
    /// The credential; `None` if the type takes none.
    pub credential: Option<CredentialSecret>,
    /// Settings of the export, with defaults filled in; empty in a test of a connection.
    pub settings: Object,
}

/// One attempt of a run.
#[derive(Clone)]
pub struct Delivery {
    /// Id of the run.
    pub run: Uuid,
    /// Number of the attempt; the first is 1.
    pub attempt: u32,
    /// What tells the rows and their order from those of another attempt; equal texts mean equal rows. `None`: each attempt
    /// may have others.
    pub fingerprint: Option<String>,
    /// Id of the export.
    pub export: ResourceId,
    /// The scheduled time, or for a manual run its creation.
    pub time: DateTime<Utc>,
    /// Path of the manifest, relative like [`OutputFile::path`]. Beside a single file: its name and `.manifest.json`; in the
    /// folder of several files: `_SUCCESS.json`.
    pub manifest_path: String,
    /// The text that an earlier attempt saved last.
    pub saved_state: Option<String>,
    /// Saves a text for later attempts and for the removal of what a lost attempt left.
    pub state_log: Arc<dyn StateLog>,
}

/// Durable state of a run that its attempts share, such as the ids of uploads.
#[async_trait::async_trait]
pub trait StateLog: Send + Sync {
    /// Replaces the saved text. Fails if the attempt lost its lease.
    async fn save(&self, state: &str) -> Result<(), DeliveryError>;
}

/// A destination of one type, built for one target.
#[async_trait::async_trait]
pub trait Destination: Send + Sync {
    /// The format that it takes.
    fn format(&self) -> OutputFormat;

    /// Tests the connection. The checks are in the order of the steps of a connection; after a failed check the rest is
    /// skipped. What a check writes, it removes.
    async fn test(&self) -> Vec<Check>;

    /// Begins an attempt: connects, and removes what earlier attempts left.
    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError>;

    /// Removes what a lost attempt wrote and did not commit, as its saved state tells. Called when no attempt of the run
    /// follows. Destinations whose attempts leave nothing, or save nothing, do nothing.
    async fn remove_staged(&self, _saved_state: &str) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// The beginning of an attempt.
pub enum Opened {
    /// The result is to be written.
    Writer(Box<dyn Writer>),
    /// An earlier attempt of the same run committed its result.
    AlreadyDelivered(Option<Box<Manifest>>),
}

/// Writes the output of one attempt.
#[async_trait::async_trait]
pub trait Writer: Send {
    /// Begins a file.
    async fn start_file(&mut self, file: &OutputFile) -> Result<(), DeliveryError>;

    /// Appends to the file.
    async fn write(&mut self, chunk: Chunk) -> Result<(), DeliveryError>;

    /// Completes the file, still invisible.
    async fn finish_file(&mut self, summary: &FileSummary) -> Result<(), DeliveryError>;

    /// Makes all files visible, and the manifest last. The caller renewed its lease just before.
    async fn commit(&mut self, manifest: &Manifest) -> Result<(), DeliveryError>;

    /// Removes everything that was written and not committed.
    async fn abort(&mut self);

    /// Removes what was written under names that no other attempt uses. Called instead of [`Self::abort`] after the lease was
    /// lost, when another attempt of the run may write or commit.
    async fn abandon(&mut self) {
        self.abort().await;
    }
}
