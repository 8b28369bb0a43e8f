//! Writes the files of one attempt, which become visible at its commit.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutPayload;
use object_store::path::Path;
use uuid::Uuid;

use super::error::failure;
use super::manifest;
use super::parts::{Buffer, part_bytes};
use super::remains;
use super::state::{Commit, SavedState, State};
use super::store::Store;
use super::upload::{Beginning, Upload};
use crate::delivery::destinations::Writer;
use crate::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use crate::model::FailureCode;

/// Maximum number of bytes of complete files that are held until the commit; other files are uploads. It comes on top
/// of the parts of the file that is being written.
const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

/// Maximum number of files that the commit makes visible at once.
const MAX_CONCURRENT_FILES: usize = 8;

/// Writes to an object store.
pub(super) struct ObjectWriter {
    uploads: Uploads,
    manifest: Path,
    run: Uuid,
    files: Vec<File>,
    // Futures that are dropped before their end leave it in place, so that an abort stops its upload.
    current: Option<Current>,
    held_bytes: usize,
    /// Whether the manifest may be visible.
    sent_manifest: bool,
}

/// Begins the uploads of an attempt.
struct Uploads {
    store: Arc<Store>,
    state: SavedState,
    /// Names the attempt in the metadata of its objects.
    marker: String,
    beginning: Beginning,
}

/// A complete file.
struct File {
    key: Path,
    bytes: u64,
    content: Content,
}

enum Content {
    Held(PutPayload),
    Upload(Box<Upload>),
}

/// The file that is being written.
struct Current {
    key: Path,
    bytes: u64,
    buffer: Buffer,
    upload: Option<Box<Upload>>,
}

impl Uploads {
    /// Begins an upload whose id is saved before its first byte is sent.
    async fn begin(&mut self, key: &Path) -> Result<Box<Upload>, DeliveryError> {
        let upload = self.beginning.begin(&self.store, key, self.store.attributes(&self.marker)).await?;
        if let Some(id) = upload.id() {
            self.state.add_upload(key, id).await?;
        }
        Ok(Box::new(upload))
    }

    /// Takes the state, which names what is to be removed, also the upload that was being begun at an interruption.
    async fn take_state(&mut self) -> State {
        if let Some(upload) = self.beginning.finish().await
            && let Some(id) = upload.id()
            && let Err(error) = self.state.add_upload(upload.key(), id).await
        {
            tracing::debug!(%error, "cannot save the id of an upload that is to be aborted");
        }
        self.state.take()
    }
}

impl Current {
    /// Appends a chunk, and sends the parts that are full.
    async fn append(&mut self, uploads: &mut Uploads, chunk: Bytes) -> Result<(), DeliveryError> {
        self.bytes += chunk.len() as u64;
        self.buffer.push(chunk);
        loop {
            let length = part_bytes(self.upload.as_ref().map_or(0, |upload| upload.begun()));
            if self.buffer.len() < length {
                return Ok(());
            }
            self.put_part(uploads, length).await?;
        }
    }

    /// Sends the next part, and begins the upload first if need be.
    async fn put_part(&mut self, uploads: &mut Uploads, length: usize) -> Result<(), DeliveryError> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(uploads.begin(&self.key).await?),
        };
        upload.put(self.buffer.take(length)).await
    }

    /// Sends the rest of the file, unless it is small enough to be held until the commit.
    async fn finish(&mut self, uploads: &mut Uploads, can_be_held: usize) -> Result<(), DeliveryError> {
        let rest = self.buffer.len();
        if self.upload.is_none() && rest <= can_be_held {
            return Ok(());
        }
        if rest > 0 {
            self.put_part(uploads, rest).await?;
        }
        match &mut self.upload {
            Some(upload) => upload.finish_parts().await,
            None => Ok(()),
        }
    }
}

impl ObjectWriter {
    /// Begins to write. `state` holds what could not be removed of earlier attempts.
    pub(super) fn new(store: Arc<Store>, state: SavedState, manifest: Path, (run, attempt): (Uuid, u32)) -> Self {
        let uploads = Uploads { store, state, marker: format!("{run}-{attempt}"), beginning: Beginning::default() };
        Self { uploads, manifest, run, files: Vec::new(), current: None, held_bytes: 0, sent_manifest: false }
    }

    /// Ends the current upload, and removes what a state names unless it is committed.
    async fn remove(&mut self, state: State) {
        if let Some(upload) = self.current.take().and_then(|current| current.upload) {
            upload.stop().await;
        }
        self.files.clear();
        if self.sent_manifest {
            return;
        }
        let (_, removed) = remains::remove(&self.uploads.store, state).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "cannot remove what an attempt wrote; it is removed later");
        }
    }

    async fn put_manifest(&mut self, manifest: &Manifest) -> Result<(), DeliveryError> {
        let Uploads { store, marker, .. } = &self.uploads;
        let text = manifest::write(manifest)?;
        self.sent_manifest = true;
        // Its class is the default one, so that a later attempt can read it.
        if !manifest::is_of_folder(&self.manifest) {
            return store.replace(&self.manifest, text, marker).await;
        }
        if store.create(&self.manifest, text, marker).await? {
            return Ok(());
        }
        // A try whose response was lost, or another attempt of the run, created it.
        if manifest::read(store, &self.manifest, self.run).await?.is_some() {
            return Ok(());
        }
        let detail = format!("{} exists and is not of this run", self.manifest);
        Err(DeliveryError::new(FailureCode::DestinationRefused, detail))
    }
}

impl File {
    /// Makes the file visible. After an error, looks whether it is: the response may have been lost.
    async fn publish(&mut self, store: &Store, marker: &str) -> Result<(), DeliveryError> {
        let published = match &mut self.content {
            Content::Held(payload) => store.put(&self.key, payload.clone(), store.attributes(marker)).await,
            Content::Upload(upload) => upload.complete().await,
        };
        match published {
            Err(error) if !store.is_written(&self.key, self.bytes, marker).await => {
                Err(failure(&format!("complete {}", self.key), &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Writer for ObjectWriter {
    async fn start_file(&mut self, file: &OutputFile) -> Result<(), DeliveryError> {
        if self.current.is_some() {
            return Err(DeliveryError::new(FailureCode::Internal, "a file began before the end of another"));
        }
        let key = self.uploads.store.key(&file.path)?;
        self.current = Some(Current { key, bytes: 0, buffer: Buffer::default(), upload: None });
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk) -> Result<(), DeliveryError> {
        let current = self.current.as_mut().ok_or_else(not_begun)?;
        current.append(&mut self.uploads, chunk.bytes).await
    }

    async fn finish_file(&mut self, summary: &FileSummary) -> Result<(), DeliveryError> {
        let current = self.current.as_mut().ok_or_else(not_begun)?;
        if current.bytes != summary.bytes {
            let detail = format!("{} has {} bytes instead of {}", current.key, current.bytes, summary.bytes);
            return Err(DeliveryError::new(FailureCode::Internal, detail));
        }
        current.finish(&mut self.uploads, MAX_HELD_BYTES - self.held_bytes).await?;
        if let Some(Current { key, bytes, mut buffer, upload }) = self.current.take() {
            self.held_bytes += buffer.len();
            let held = |buffer: &mut Buffer| Content::Held(buffer.take(usize::MAX));
            let content = upload.map_or_else(|| held(&mut buffer), Content::Upload);
            self.files.push(File { key, bytes, content });
        }
        Ok(())
    }

    async fn commit(&mut self, manifest: &Manifest) -> Result<(), DeliveryError> {
        if self.current.is_some() {
            return Err(DeliveryError::new(FailureCode::Internal, "the last file is not complete"));
        }
        let commit = Commit { manifest: self.manifest.to_string(), own: manifest::own(&self.manifest, self.run) };
        self.uploads.state.begin_commit(commit).await?;
        let Uploads { store, marker, .. } = &self.uploads;
        let published: Vec<_> = self.files.iter_mut().map(|file| file.publish(store, marker)).collect();
        stream::iter(published).buffer_unordered(MAX_CONCURRENT_FILES).try_collect::<()>().await?;
        self.put_manifest(manifest).await
    }

    async fn abort(&mut self) {
        let state = self.uploads.take_state().await;
        self.remove(state).await;
    }

    async fn abandon(&mut self) {
        // What a commit wrote may be that of another attempt.
        let state = State { commits: Vec::new(), ..self.uploads.take_state().await };
        self.remove(state).await;
    }
}

fn not_begun() -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, "no file began")
}
