//! Files of a dataset, pinned to what they were in the listing.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::object_file::ObjectFile;
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Bytes that a sequential reader fetches at once from a local file.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// A pinned file. Cheap to clone; usable from several threads, which must be blocking threads: reads block.
#[derive(Clone)]
pub struct SourceFile {
    content: Content,
}

#[derive(Clone)]
enum Content {
    Local(Arc<LocalFile>),
    Object(Arc<ObjectFile>),
}

/// A file of a directory.
struct LocalFile {
    path: PathBuf,
    identity: FileIdentity,
    handles: Arc<Semaphore>,
    handle: OnceLock<(File, OwnedSemaphorePermit)>,
}

/// What tells a file from another one at the same path, and from the same one after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileIdentity {
    pub(super) size: u64,
    device: u64,
    inode: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl FileIdentity {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl SourceFile {
    /// A file at `path`, which has no symbolic link below the location of its source. At most as many files as `handles`
    /// has permits stay open between reads.
    pub(super) fn local(path: PathBuf, identity: FileIdentity, handles: Arc<Semaphore>) -> Self {
        let file = LocalFile { path, identity, handles, handle: OnceLock::new() };
        Self { content: Content::Local(Arc::new(file)) }
    }

    /// Pins a local file as it is now, without a source: for benchmarks and tests.
    pub fn open_local(path: PathBuf) -> io::Result<Self> {
        let identity = FileIdentity::of(&fs::symlink_metadata(&path)?);
        Ok(Self::local(path, identity, Arc::new(Semaphore::new(1))))
    }

    pub(super) fn object(file: ObjectFile) -> Self {
        Self { content: Content::Object(Arc::new(file)) }
    }

    /// Path of the file, for errors.
    pub fn path(&self) -> &Path {
        match &self.content {
            Content::Local(file) => &file.path,
            Content::Object(file) => file.path(),
        }
    }

    /// Number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is a file like any other")]
    pub fn len(&self) -> u64 {
        match &self.content {
            Content::Local(file) => file.identity.size,
            Content::Object(file) => file.size(),
        }
    }

    /// A text that is different for another file, and after a change of the file.
    pub(super) fn key(&self) -> String {
        match &self.content {
            Content::Local(file) => format!("{} {}", file.path.display(), self.identity()),
            Content::Object(file) => file.key().to_owned(),
        }
    }

    /// A text that is different after a change of the file, and the same on every host.
    pub fn fingerprint(&self) -> String {
        match &self.content {
            Content::Local(file) => {
                let FileIdentity { size, device: _, inode, changed, modified } = file.identity;
                format!("{size}-{inode}-{}.{}-{}.{}", changed.0, changed.1, modified.0, modified.1)
            }
            Content::Object(file) => file.identity(),
        }
    }

    /// A text that is different after a change of the file.
    pub fn identity(&self) -> String {
        match &self.content {
            Content::Local(file) => {
                let FileIdentity { size, device, inode, changed, modified } = file.identity;
                format!("{size}-{device}-{inode}-{}.{}-{}.{}", changed.0, changed.1, modified.0, modified.1)
            }
            Content::Object(file) => file.identity(),
        }
    }

    /// Exactly `length` bytes from `offset`. SOURCE_CHANGED if the file is gone, changed, or ends before.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DeliveryError> {
        match offset.checked_add(length as u64) {
            Some(end) if end <= self.len() => {}
            _ => return Err(DeliveryError::new(FailureCode::SourceChanged, format!("{self} ends too early"))),
        }
        match &self.content {
            Content::Local(file) => file.read_at(offset, length),
            Content::Object(file) => file.read_at(offset, length),
        }
    }
}

impl LocalFile {
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DeliveryError> {
        let mut bytes = vec![0; length];
        let read = match self.handle.get() {
            Some((file, _)) => self.read(file, &mut bytes, offset),
            None => self.open().and_then(|file| {
                let read = self.read(&file, &mut bytes, offset);
                if let Ok(permit) = self.handles.clone().try_acquire_owned() {
                    // Another thread may have been faster; then this handle is closed.
                    let _ = self.handle.set((file, permit));
                }
                read
            }),
        };
        match read {
            Ok(()) => Ok(Bytes::from(bytes)),
            Err(cause) => Err(self.error(&cause)),
        }
    }

    /// Opens the file if it is still the one of the listing; a symbolic link in its place is another one.
    fn open(&self) -> io::Result<File> {
        if FileIdentity::of(&fs::symlink_metadata(&self.path)?) != self.identity {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file changed"));
        }
        File::open(&self.path)
    }

    /// Reads, and then checks that the file did not change before the end of the read.
    fn read(&self, file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(bytes, offset)?;
        let metadata = file.metadata()?;
        // A rename changes `changed` (ctime) without changing the bytes of the open file.
        let found = FileIdentity { changed: self.identity.changed, ..FileIdentity::of(&metadata) };
        if found == self.identity && metadata.nlink() > 0 {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file changed or was removed"))
        }
    }

    fn error(&self, cause: &io::Error) -> DeliveryError {
        let changed = matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof);
        let code = if changed { FailureCode::SourceChanged } else { FailureCode::DatasetUnavailable };
        DeliveryError::with(code, &format!("cannot read {}", self.path.display()), cause)
    }
}

impl fmt::Display for SourceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(formatter)
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self} ({} bytes)", self.len())
    }
}

impl Length for SourceFile {
    fn len(&self) -> u64 {
        self.len()
    }
}

impl SourceFile {
    /// The cause of an error of a Parquet reader, if a read of a file failed.
    pub fn delivery_error(error: &ParquetError) -> Option<DeliveryError> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<DeliveryError>() {
                return Some(DeliveryError::new(found.code, found.detail.clone()));
            }
            cause = error.source();
        }
        None
    }
}

/// Reads sequentially from an offset, with read-ahead.
pub struct SourceReader {
    file: SourceFile,
    offset: u64,
    buffer: Bytes,
}

impl SourceFile {
    /// Reads sequentially from `offset` to the end of the file.
    pub fn reader(&self, offset: u64) -> SourceReader {
        SourceReader { file: self.clone(), offset, buffer: Bytes::new() }
    }
}

impl Read for SourceReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            let left = self.file.len().saturating_sub(self.offset);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(target.len().max(READ_AHEAD_BYTES));
            self.buffer = self.file.read_at(self.offset, length).map_err(io::Error::other)?;
            self.offset += length as u64;
        }
        let part = self.buffer.split_to(self.buffer.len().min(target.len()));
        target[..part.len()].copy_from_slice(&part);
        Ok(part.len())
    }
}

impl ChunkReader for SourceFile {
    type T = SourceReader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<SourceReader> {
        Ok(self.reader(start))
    }

    /// The [`DeliveryError`] of a failed read is the source of [`ParquetError::External`].
    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.read_at(start, length).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
