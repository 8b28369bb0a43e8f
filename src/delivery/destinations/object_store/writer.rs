//! Writes the files of one attempt, which become visible at its commit.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutPayload;
use object_store::path::Path;

use super::error::failure;
use super::manifest;
use super::parts::{Buffer, part_bytes};
use super::state::SavedState;
use super::store::Store;
use super::upload::Upload;
use crate::delivery::destinations::Writer;
use crate::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use crate::model::FailureCode;

/// Maximum number of bytes of complete files that are held until the commit; other files are uploads. It comes on top of
/// the parts of the file that is being written.
const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

/// Maximum number of files that the commit makes visible at once, and that are removed at once.
const MAX_CONCURRENT_FILES: usize = 8;

/// Writes to an object store.
pub(super) struct ObjectWriter {
    store: Arc<Store>,
    state: SavedState,
    manifest: Path,
    run: uuid::Uuid,
    /// Names the attempt in the metadata of its objects.
    marker: String,
    files: Vec<File>,
    current: Option<Current>,
    held_bytes: usize,
    /// Whether the manifest may be visible.
    sent_manifest: bool,
}

/// A complete file.
struct File {
    key: Path,
    bytes: u64,
    content: Content,
    /// Whether it may be visible.
    sent: bool,
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

impl ObjectWriter {
    /// Begins to write. `state` holds what could not be removed of earlier attempts.
    pub(super) fn new(store: Arc<Store>, state: SavedState, manifest: Path, (run, attempt): (uuid::Uuid, u32)) -> Self {
        let marker = format!("{run}-{attempt}");
        let (files, current) = (Vec::new(), None);
        Self { store, state, manifest, run, marker, files, current, held_bytes: 0, sent_manifest: false }
    }

    /// Sends the next part of the current file, and begins its upload first if need be.
    async fn put_part(&mut self, current: &mut Current, payload: PutPayload) -> Result<(), DeliveryError> {
        let upload = match &mut current.upload {
            Some(upload) => upload,
            none => none.insert(self.begin_upload(&current.key).await?),
        };
        upload.put(payload).await
    }

    /// Begins an upload whose id is saved before its first byte is sent.
    async fn begin_upload(&mut self, key: &Path) -> Result<Box<Upload>, DeliveryError> {
        let mut upload = Box::new(Upload::begin(&self.store, key, self.store.attributes(&self.marker)).await?);
        let Some(id) = upload.id().map(ToOwned::to_owned) else { return Ok(upload) };
        if let Err(error) = self.state.add_upload(key, &id).await {
            log_failure(upload.abort().await);
            return Err(error);
        }
        Ok(upload)
    }

    async fn append(&mut self, current: &mut Current, chunk: Chunk) -> Result<(), DeliveryError> {
        current.bytes += chunk.bytes.len() as u64;
        current.buffer.push(chunk.bytes);
        loop {
            let length = part_bytes(current.upload.as_ref().map_or(0, |upload| upload.begun()));
            if current.buffer.len() < length {
                return Ok(());
            }
            let payload = current.buffer.take(length);
            self.put_part(current, payload).await?;
        }
    }

    async fn finish(&mut self, current: &mut Current, summary: &FileSummary) -> Result<(), DeliveryError> {
        if current.bytes != summary.bytes {
            let detail = format!("{} has {} bytes instead of {}", current.key, current.bytes, summary.bytes);
            return Err(DeliveryError::new(FailureCode::Internal, detail));
        }
        let rest = current.buffer.len();
        let is_held = current.upload.is_none() && (rest == 0 || self.held_bytes + rest <= MAX_HELD_BYTES);
        let payload = current.buffer.take(rest);
        let content = if is_held {
            self.held_bytes += rest;
            Content::Held(payload)
        } else {
            if rest > 0 {
                self.put_part(current, payload).await?;
            }
            let Some(mut upload) = current.upload.take() else { return Err(not_begun()) };
            let finished = upload.finish_parts().await;
            // The file is complete, or it is kept so that it is aborted.
            self.files.push(File::new(current, Content::Upload(upload)));
            return finished;
        };
        self.files.push(File::new(current, content));
        Ok(())
    }

    async fn put_manifest(&mut self, manifest: &Manifest) -> Result<(), DeliveryError> {
        let text = manifest::write(manifest)?;
        self.sent_manifest = true;
        // Its class is the default one, so that a later attempt can read it.
        if !manifest::is_of_folder(&self.manifest) {
            return self.store.replace(&self.manifest, text, &self.marker).await;
        }
        if self.store.create(&self.manifest, text, &self.marker).await? {
            return Ok(());
        }
        // A try whose response was lost, or another attempt of the run, created it.
        match manifest::read(&self.store, &self.manifest, self.run).await? {
            Some(_) => Ok(()),
            None => {
                let detail = format!("{} exists and is not of this run", self.manifest);
                Err(DeliveryError::new(FailureCode::DestinationRefused, detail))
            }
        }
    }
}

impl File {
    fn new(current: &Current, content: Content) -> Self {
        Self { key: current.key.clone(), bytes: current.bytes, content, sent: false }
    }

    /// Makes the file visible. After an error, looks whether it is: the response may have been lost.
    async fn publish(&mut self, store: &Store, marker: &str) -> Result<(), DeliveryError> {
        self.sent = true;
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

    /// Removes what was sent. A file that replaced an earlier one is kept: it is complete.
    async fn remove(&mut self, store: &Store, is_of_folder: bool) {
        if let Content::Upload(upload) = &mut self.content {
            log_failure(upload.abort().await);
        }
        if self.sent && is_of_folder {
            log_failure(store.delete(&self.key).await);
        }
    }
}

#[async_trait::async_trait]
impl Writer for ObjectWriter {
    async fn start_file(&mut self, file: &OutputFile) -> Result<(), DeliveryError> {
        let key = self.store.key(&file.path)?;
        if self.current.replace(Current { key, bytes: 0, buffer: Buffer::default(), upload: None }).is_some() {
            return Err(DeliveryError::new(FailureCode::Internal, "a file began before the end of another"));
        }
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk) -> Result<(), DeliveryError> {
        let mut current = self.current.take().ok_or_else(not_begun)?;
        let appended = self.append(&mut current, chunk).await;
        self.current = Some(current);
        appended
    }

    async fn finish_file(&mut self, summary: &FileSummary) -> Result<(), DeliveryError> {
        let mut current = self.current.take().ok_or_else(not_begun)?;
        let finished = self.finish(&mut current, summary).await;
        if current.upload.is_some() {
            self.current = Some(current); // so that it is aborted
        }
        finished
    }

    async fn commit(&mut self, manifest: &Manifest) -> Result<(), DeliveryError> {
        if self.current.is_some() {
            return Err(DeliveryError::new(FailureCode::Internal, "the last file is not complete"));
        }
        if let Some(folder) = manifest::folder(&self.manifest, self.run) {
            self.state.set_folder(&folder).await?;
        }
        let (store, marker) = (&self.store, &self.marker);
        let published: Vec<_> = self.files.iter_mut().map(|file| file.publish(store, marker)).collect();
        stream::iter(published).buffer_unordered(MAX_CONCURRENT_FILES).try_collect::<()>().await?;
        self.put_manifest(manifest).await
    }

    async fn abort(&mut self) {
        let upload = self.current.take().and_then(|current| current.upload);
        if let Some(mut upload) = upload {
            log_failure(upload.abort().await);
        }
        if self.sent_manifest {
            return;
        }
        let (store, is_of_folder) = (&self.store, manifest::is_of_folder(&self.manifest));
        let removed: Vec<_> = self.files.iter_mut().map(|file| file.remove(store, is_of_folder)).collect();
        stream::iter(removed).buffer_unordered(MAX_CONCURRENT_FILES).collect::<()>().await;
        self.files.clear();
    }
}

fn not_begun() -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, "no file began")
}

/// The next attempt and the janitor remove what an abort could not.
fn log_failure(removed: Result<(), DeliveryError>) {
    if let Err(error) = removed {
        tracing::warn!(%error, "cannot remove what an attempt wrote; it is removed later");
    }
}
