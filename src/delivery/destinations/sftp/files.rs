//! A directory of an SSH server as a file system of a delivery.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, Status, StatusCode};

use super::connection::Connection;
use super::errors::{is_missing, operation, status};
use super::subsystem::{Extensions, OPERATION_TIMEOUT_SECONDS, POSIX_RENAME};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::staged::{Entry, FileSystem, is_segment};
use crate::model::FailureCode;

/// Maximum number of writes without a response: with [`WRITE_BYTES`], 2 MB are in memory and on their way.
const MAX_WRITES_IN_FLIGHT: usize = 64;
/// Number of bytes of one write. Every server accepts packets of 34,000 bytes.
const WRITE_BYTES: usize = 32_000;
/// Number of bytes of one read.
const READ_BYTES: u32 = 32_000;
/// Maximum duration of writing a complete file to durable storage, in seconds.
const SYNC_TIMEOUT_SECONDS: u64 = 600;
/// Maximum number of entries of a folder that are listed.
const MAX_ENTRIES: usize = 100_000;
/// A failed write with less free space than this is reported as a full disk.
const MIN_FREE_BYTES: u64 = 1 << 20;

/// A directory on a server.
pub struct SftpFiles {
    session: Arc<RawSftpSession>,
    extensions: Extensions,
    directory: String,
    open: Option<OpenFile>,
    /// Dropped last.
    _connection: Connection,
}

struct OpenFile {
    handle: String,
    path: String,
    offset: u64,
    in_flight: FuturesUnordered<BoxFuture<'static, Result<Status, SftpError>>>,
}

impl SftpFiles {
    /// Opens a directory, which must exist.
    pub async fn open(
        connection: Connection,
        session: RawSftpSession,
        extensions: Extensions,
        directory: &str,
    ) -> Result<Self, DeliveryError> {
        let found = session.stat(directory).await.map_err(|error| operation("find", directory, &error))?;
        if found.attrs.permissions.is_some() && !found.attrs.file_type().is_dir() {
            return Err(refused(format!("{directory} is not a directory")));
        }
        let directory = directory.trim_end_matches('/').to_owned();
        Ok(Self { session: Arc::new(session), extensions, directory, open: None, _connection: connection })
    }

    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.directory)
    }

    /// The failure of a write or of the creation of a file. A full disk has no status of its own.
    async fn write_failed(&self, doing: &str, path: &str, error: &SftpError) -> DeliveryError {
        if status(error) == Some(StatusCode::Failure) && self.extensions.statvfs {
            let directory = if self.directory.is_empty() { "/" } else { &self.directory };
            let free = self.session.statvfs(directory).await;
            let is_full = |bytes: u64, inodes: u64| bytes < MIN_FREE_BYTES || inodes == 0;
            // File systems without a fixed number of inodes report none.
            let inodes = |free: u64, all: u64| if all == 0 { 1 } else { free };
            if let Ok(free) = free
                && is_full(
                    free.blocks_avail.saturating_mul(free.fragment_size),
                    inodes(free.inodes_avail, free.inodes),
                )
            {
                return DeliveryError::new(FailureCode::DestinationFull, format!("cannot {doing} {path}: no space left"));
            }
        }
        operation(doing, path, error)
    }

    /// Waits until at most `max` writes of the open file have no response.
    async fn await_writes(&mut self, max: usize) -> Result<(), DeliveryError> {
        loop {
            let Some(open) = &mut self.open else { return Err(no_file()) };
            let result = if open.in_flight.len() > max {
                open.in_flight.next().await
            } else {
                // Sends the writes that were not sent yet, and takes responses that have arrived.
                open.in_flight.next().now_or_never().flatten()
            };
            match result {
                None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let path = open.path.clone();
                    return Err(self.write_failed("write", &path, &error).await);
                }
            }
        }
    }

    /// Closes a handle and waits for the response.
    async fn close(&self, open: OpenFile) -> Result<(), DeliveryError> {
        match self.session.close(open.handle).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.write_failed("write", &open.path, &error).await),
        }
    }

    async fn posix_rename(&self, from: &str, to: &str) -> Result<(), SftpError> {
        let mut paths = Vec::new();
        for path in [from, to] {
            let length = u32::try_from(path.len()).map_err(|_| SftpError::Limited("path".to_owned()))?;
            paths.extend_from_slice(&length.to_be_bytes());
            paths.extend_from_slice(path.as_bytes());
        }
        let response = self.session.extended(POSIX_RENAME, paths).await?;
        let Packet::Status(status) = response else { return Err(SftpError::UnexpectedPacket) };
        if status.status_code == StatusCode::Ok { Ok(()) } else { Err(SftpError::Status(status)) }
    }
}

#[async_trait::async_trait]
impl FileSystem for SftpFiles {
    const STAGED_PREFIX: &'static str = "";

    async fn create_folder(&mut self, path: &str) -> Result<bool, DeliveryError> {
        let path = self.path(path);
        match self.session.stat(&path).await {
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(operation("find", &path, &error)),
            Ok(found) if found.attrs.permissions.is_none() || found.attrs.file_type().is_dir() => return Ok(false),
            Ok(_) => return Err(refused(format!("{path} is not a directory"))),
        }
        match self.session.mkdir(&path, FileAttributes::empty()).await {
            Ok(_) => Ok(true),
            // Another delivery may have created it in the meantime.
            Err(_) if self.session.stat(&path).await.is_ok() => Ok(false),
            Err(error) => Err(self.write_failed("create", &path, &error).await),
        }
    }

    async fn create_file(&mut self, path: &str) -> Result<(), DeliveryError> {
        self.discard_file().await;
        let path = self.path(path);
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        match self.session.open(&path, flags, FileAttributes::empty()).await {
            Ok(opened) => {
                let in_flight = FuturesUnordered::new();
                self.open = Some(OpenFile { handle: opened.handle, path, offset: 0, in_flight });
                Ok(())
            }
            Err(error) => Err(self.write_failed("create", &path, &error).await),
        }
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), DeliveryError> {
        let limit = self.extensions.max_write_bytes.and_then(|limit| usize::try_from(limit).ok());
        let write_bytes = limit.unwrap_or(WRITE_BYTES).clamp(1, WRITE_BYTES);
        for start in (0..bytes.len()).step_by(write_bytes) {
            self.await_writes(MAX_WRITES_IN_FLIGHT - 1).await?;
            let piece = bytes.slice(start..bytes.len().min(start + write_bytes));
            let session = Arc::clone(&self.session);
            let Some(open) = &mut self.open else { return Err(no_file()) };
            let (handle, offset) = (open.handle.clone(), open.offset);
            open.offset += piece.len() as u64;
            open.in_flight.push(async move { session.write(handle, offset, piece.to_vec()).await }.boxed());
        }
        self.await_writes(MAX_WRITES_IN_FLIGHT).await
    }

    async fn finish_file(&mut self) -> Result<(), DeliveryError> {
        self.await_writes(0).await?;
        let open = self.open.take().ok_or_else(no_file)?;
        self.session.set_timeout(SYNC_TIMEOUT_SECONDS);
        let synced =
            if self.extensions.fsync { self.session.fsync(&open.handle).await.map(drop) } else { Ok(()) };
        let result = match synced {
            Ok(()) => self.close(open).await,
            Err(error) => Err(self.write_failed("write", &open.path, &error).await),
        };
        self.session.set_timeout(OPERATION_TIMEOUT_SECONDS);
        result
    }

    async fn discard_file(&mut self) {
        if let Some(open) = self.open.take() {
            // The file is removed or left to the next attempt.
            let _ = self.close(open).await;
        }
    }

    async fn rename(&mut self, from: &str, to: &str, removable: bool) -> Result<(), DeliveryError> {
        let (from, to) = (self.path(from), self.path(to));
        if self.extensions.posix_rename {
            return self.posix_rename(&from, &to).await.map_err(|error| operation("rename to", &to, &error));
        }
        // Some servers replace an existing file here; the protocol says that they should not.
        let Err(error) = self.session.rename(&from, &to).await else { return Ok(()) };
        if self.session.stat(&to).await.is_err() {
            return Err(operation("rename to", &to, &error));
        }
        if !removable {
            return Err(refused(format!(
                "cannot rename to {to}: the server cannot replace a file atomically ({POSIX_RENAME}), and the name does not \
                 hold the run"
            )));
        }
        self.session.remove(&to).await.map_err(|error| operation("remove", &to, &error))?;
        self.session.rename(&from, &to).await.map(drop).map_err(|error| operation("rename to", &to, &error))
    }

    /// SFTP has no operation for it.
    async fn sync_folder(&mut self, _: &str) -> Result<(), DeliveryError> {
        Ok(())
    }

    async fn remove_file(&mut self, path: &str) -> Result<(), DeliveryError> {
        let path = self.path(path);
        match self.session.remove(&path).await {
            Err(error) if !is_missing(&error) => Err(operation("remove", &path, &error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn remove_folder(&mut self, path: &str) -> Result<(), DeliveryError> {
        let path = self.path(path);
        self.session.rmdir(&path).await.map(drop).map_err(|error| operation("remove", &path, &error))
    }

    async fn list(&mut self, path: &str) -> Result<Vec<Entry>, DeliveryError> {
        let path = self.path(path);
        let failed = |error: &SftpError| operation("list", &path, error);
        let handle = match self.session.opendir(&path).await {
            Ok(opened) => opened.handle,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        let mut entries = Vec::new();
        loop {
            match self.session.readdir(&handle).await {
                Ok(page) => entries.extend(page.files.into_iter().filter(|file| is_segment(&file.filename)).map(|file| {
                    let is_folder = file.attrs.file_type().is_dir();
                    Entry { name: file.filename, is_folder }
                })),
                Err(error) if status(&error) == Some(StatusCode::Eof) => break,
                Err(error) => return Err(failed(&error)),
            }
            if entries.len() > MAX_ENTRIES {
                let detail = format!("{path} has more than {MAX_ENTRIES} entries");
                return Err(DeliveryError::new(FailureCode::LimitExceeded, detail));
            }
        }
        self.session.close(handle).await.map_err(|error| failed(&error))?;
        Ok(entries)
    }

    async fn read(&mut self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, DeliveryError> {
        let path = self.path(path);
        let failed = |error: &SftpError| operation("read", &path, error);
        let handle = match self.session.open(&path, OpenFlags::READ, FileAttributes::empty()).await {
            Ok(opened) => opened.handle,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let mut content = Vec::new();
        while content.len() <= max_bytes {
            match self.session.read(&handle, content.len() as u64, READ_BYTES).await {
                Ok(read) if read.data.is_empty() => break,
                Ok(read) => content.extend_from_slice(&read.data),
                Err(error) if status(&error) == Some(StatusCode::Eof) => break,
                Err(error) => return Err(failed(&error)),
            }
        }
        self.session.close(handle).await.map_err(|error| failed(&error))?;
        Ok(Some(content).filter(|content| content.len() <= max_bytes))
    }
}

fn no_file() -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, "no file is open")
}

fn refused(detail: String) -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationRefused, detail)
}
