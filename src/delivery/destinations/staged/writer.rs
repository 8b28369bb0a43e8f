//! Writes a delivery to a directory.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use uuid::Uuid;

use super::file_system::FileSystem;
use super::names::{Names, SavedAttempt, join, parents};
use super::remains::{find_manifest, remove_earlier, remove_remains};
use crate::delivery::destinations::{Delivery, Opened, Writer};
use crate::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use crate::model::FailureCode;

/// Maximum number of files of a delivery.
const MAX_FILES: usize = 100_000;
/// Maximum duration of the removal of an attempt's files.
const ABORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Name of the file that a test of a connection creates.
const PROBE: &str = ".outflow-test-";
/// How long the removal of what a test wrote may take.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(4);

/// A delivery to a directory.
struct StagedWriter<F> {
    files: F,
    names: Names,
    /// Paths of files of the delivery, and of folders that are known to exist.
    known_paths: HashSet<String>,
    /// Folders that this attempt created, outermost first.
    created_folders: Vec<String>,
    /// Number of bytes of the open file.
    written: u64,
    /// Final paths of the files that were created.
    created_files: Vec<String>,
    /// How many of them have been renamed to their final paths.
    visible: usize,
    /// Whether the rename of the manifest was begun.
    manifest_renamed: bool,
}

/// Begins an attempt: removes what earlier attempts left, unless one of them committed the result.
pub async fn open<F: FileSystem + 'static>(
    mut files: F,
    folder: &str,
    delivery: &Delivery,
) -> Result<Opened, DeliveryError> {
    let attempt = SavedAttempt::of(folder, delivery);
    let names = Names::new(F::STAGED_PREFIX, &attempt)?;
    let saved = delivery.saved_state.as_deref().map(SavedAttempt::decode).transpose()?;
    let saved = saved.map(|saved| Names::new(F::STAGED_PREFIX, &saved)).transpose()?;
    // The export was edited since: its files had other names. If these cannot be read, there may be a result, and this attempt
    // must not write another.
    let earlier = saved.filter(|saved| saved.manifest != names.manifest);
    for known in earlier.iter().chain([&names]) {
        if let Some(manifest) = find_manifest(&mut files, known).await? {
            return Ok(Opened::AlreadyDelivered(Some(Box::new(manifest))));
        }
    }
    if let Some(earlier) = &earlier
        && let Err(error) = remove_remains(&mut files, earlier).await
    {
        tracing::warn!(%error, "cannot remove what an attempt left before its export was edited");
    }
    remove_earlier(&mut files, &names).await?;
    delivery.state_log.save(&attempt.encode()?).await?;
    Ok(Opened::Writer(Box::new(StagedWriter {
        files,
        names,
        known_paths: HashSet::new(),
        created_folders: Vec::new(),
        written: 0,
        created_files: Vec::new(),
        visible: 0,
        manifest_renamed: false,
    })))
}

/// Tests that files can be written, within a time from the opening of the file system: creates one in a folder, and removes it
/// together with the folders that it created, for which there is a time of its own.
pub async fn probe<F: FileSystem>(
    open: impl Future<Output = Result<F, DeliveryError>>,
    folder: &str,
    timeout: Duration,
) -> Result<(), DeliveryError> {
    let deadline = Instant::now() + timeout;
    let mut files = tokio::time::timeout_at(deadline, open).await.map_err(|_| timed_out())??;
    let path = join(folder, &format!("{PROBE}{}", Uuid::new_v4()));
    let (mut created, mut is_created) = (Vec::new(), false);
    let write = async {
        for folder in parents(&path) {
            if files.create_folder(folder).await? {
                created.push(folder.to_owned());
            }
        }
        is_created = true;
        files.create_file(&path).await?;
        files.append(Bytes::from_static(b"test of a connection\n")).await?;
        files.finish_file().await
    };
    let written = tokio::time::timeout_at(deadline, write).await.unwrap_or_else(|_| Err(timed_out()));
    let remove = async {
        files.discard_file().await;
        let removed = if is_created { files.remove_file(&path).await } else { Ok(()) };
        for folder in created.iter().rev() {
            // A delivery may have written there in the meantime.
            let _ = files.remove_folder(folder).await;
        }
        removed
    };
    let removed = tokio::time::timeout(REMOVAL_TIMEOUT, remove).await.unwrap_or_else(|_| Err(timed_out()));
    written.and(removed)
}

fn timed_out() -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationUnreachable, "the destination did not respond in time")
}

impl<F: FileSystem> StagedWriter<F> {
    /// Creates the staged file of a final path.
    async fn create(&mut self, path: &str) -> Result<(), DeliveryError> {
        for folder in parents(path) {
            if self.known_paths.insert(folder.to_owned()) && self.files.create_folder(folder).await? {
                self.created_folders.push(folder.to_owned());
            }
        }
        if !self.known_paths.insert(path.to_owned()) {
            return Err(DeliveryError::new(FailureCode::Internal, format!("two files have the path {path:?}")));
        }
        self.created_files.push(path.to_owned());
        self.written = 0;
        self.files.create_file(&self.names.staged(path)).await
    }

    async fn rename(&mut self, path: &str) -> Result<(), DeliveryError> {
        self.files.rename(&self.names.staged(path), path, self.names.holds_run(path)).await
    }

    /// Removes the staged files of this attempt. Returns the files that became visible.
    async fn remove_staged(&mut self) -> Result<Vec<String>, DeliveryError> {
        self.files.discard_file().await;
        let mut visible = std::mem::take(&mut self.created_files);
        for path in visible.split_off(std::mem::take(&mut self.visible)) {
            self.files.remove_file(&self.names.staged(&path)).await?;
        }
        Ok(visible)
    }

    /// Removes the files of this attempt that are not committed, and the folders that became empty.
    async fn remove_all(&mut self) -> Result<(), DeliveryError> {
        let visible = self.remove_staged().await?;
        // A single file that became visible is complete, and may have replaced an earlier one: it stays. In the folder of a
        // run, files without a manifest are no result.
        if self.names.run_folder().is_some() && !self.manifest_renamed {
            for path in &visible {
                self.files.remove_file(path).await?;
            }
        }
        for folder in std::mem::take(&mut self.created_folders).iter().rev() {
            // Another delivery may have written there in the meantime.
            let _ = self.files.remove_folder(folder).await;
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl<F: FileSystem> Writer for StagedWriter<F> {
    async fn start_file(&mut self, file: &OutputFile) -> Result<(), DeliveryError> {
        let path = self.names.path(&file.path)?;
        if self.created_files.len() >= MAX_FILES {
            return Err(DeliveryError::new(FailureCode::LimitExceeded, format!("more than {MAX_FILES} files")));
        }
        self.create(&path).await
    }

    async fn write(&mut self, chunk: Chunk) -> Result<(), DeliveryError> {
        self.written += chunk.bytes.len() as u64;
        self.files.append(chunk.bytes).await
    }

    async fn finish_file(&mut self, summary: &FileSummary) -> Result<(), DeliveryError> {
        if summary.bytes != self.written {
            let detail = format!("{:?} has {} bytes instead of {}", summary.path, self.written, summary.bytes);
            return Err(DeliveryError::new(FailureCode::Internal, detail));
        }
        self.files.finish_file().await
    }

    async fn commit(&mut self, manifest: &Manifest) -> Result<(), DeliveryError> {
        let content = serde_json::to_vec_pretty(manifest)
            .map_err(|error| DeliveryError::with(FailureCode::Internal, "cannot write a manifest", error))?;
        let path = self.names.manifest.clone();
        self.create(&path).await?;
        self.files.append(Bytes::from(content)).await?;
        self.files.finish_file().await?;

        // From here on files become visible.
        while self.visible < self.created_files.len() - 1 {
            let file = self.created_files[self.visible].clone();
            self.rename(&file).await?;
            self.visible += 1;
        }
        let renamed = self.created_files.iter().map(|path| folder_of(path).to_owned());
        let folders: BTreeSet<String> =
            renamed.chain(self.created_folders.iter().map(|path| folder_of(path).to_owned())).collect();
        for folder in folders {
            self.files.sync_folder(&folder).await?;
        }
        self.manifest_renamed = true;
        // The files that an earlier manifest describes were replaced, so it may be removed.
        self.files.rename(&self.names.staged(&path), &path, true).await?;
        self.files.sync_folder(folder_of(&path)).await?;
        self.created_files.clear();
        self.created_folders.clear();
        self.visible = 0;
        Ok(())
    }

    async fn abort(&mut self) {
        log_removal(tokio::time::timeout(ABORT_TIMEOUT, self.remove_all()).await);
    }

    async fn abandon(&mut self) {
        // Only the names of staged files hold the attempt: what is visible, and the folders, may be those of another one.
        log_removal(tokio::time::timeout(ABORT_TIMEOUT, self.remove_staged()).await);
    }
}

fn log_removal<T>(removed: Result<Result<T, DeliveryError>, Elapsed>) {
    let timed_out = |_| Err(DeliveryError::new(FailureCode::DestinationUnreachable, "timed out"));
    if let Err(error) = removed.unwrap_or_else(timed_out) {
        tracing::warn!(%error, "cannot remove the files of an attempt; the next attempt removes them");
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
