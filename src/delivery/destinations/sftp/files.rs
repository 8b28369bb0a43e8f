//! A directory of an SSH server as a file system of a delivery.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{File, FileAttributes, OpenFlags, Status, StatusCode};

use super::connection::Connection;
use super::errors::{is_missing, operation, refused, status};
use super::session::Session;
use super::subsystem::OPERATION_TIMEOUT_SECONDS;
use crate::delivery::DeliveryError;
use crate::delivery::destinations::staged::{Entry, FileSystem, is_segment};
use crate::model::FailureCode;

/// Maximum number of bytes of the writes without a response, which are in memory and on their way.
const MAX_BYTES_IN_FLIGHT: usize = 2 * 1024 * 1024;
/// Maximum number of these writes.
const MAX_WRITES_IN_FLIGHT: usize = 64;
/// Maximum number of bytes of one write if the server does not tell its limit. Every server accepts packets of 34,000 bytes.
const DEFAULT_WRITE_BYTES: usize = 32_000;
/// Maximum number of bytes of one write: the limit of OpenSSH. With the default it takes a third more time.
const MAX_WRITE_BYTES: usize = 255 * 1024;
/// Number of bytes of one read.
const READ_BYTES: u32 = 32_000;
/// Maximum duration of writing a complete file to durable storage, in seconds.
const SYNC_TIMEOUT_SECONDS: u64 = 600;
/// Maximum number of entries of a folder that are listed.
const MAX_ENTRIES: usize = 100_000;

/// A directory on a server.
pub struct SftpFiles {
    session: Arc<Session>,
    open: Option<OpenFile>,
    // Ends when this is dropped.
    _connection: Connection,
}

struct OpenFile {
    handle: String,
    path: String,
    offset: u64,
    /// Writes without a response; each gives its number of bytes.
    in_flight: FuturesUnordered<BoxFuture<'static, (usize, Result<Status, SftpError>)>>,
    bytes_in_flight: usize,
}

impl SftpFiles {
    /// The files of a directory.
    pub fn new(connection: Connection, session: Session) -> Self {
        Self { session: Arc::new(session), open: None, _connection: connection }
    }

    /// Waits until the writes of the open file without a response have at most `max_bytes`, and are at most `max_writes`.
    async fn await_writes(&mut self, max_bytes: usize, max_writes: usize) -> Result<(), DeliveryError> {
        loop {
            let Some(open) = &mut self.open else { return Err(no_file()) };
            let written = if open.bytes_in_flight > max_bytes || open.in_flight.len() > max_writes {
                open.in_flight.next().await
            } else {
                // Sends the writes that were not sent yet, and takes responses that have arrived.
                open.in_flight.next().now_or_never().flatten()
            };
            let Some((bytes, result)) = written else { return Ok(()) };
            open.bytes_in_flight -= bytes;
            if let Err(error) = result {
                return Err(self.session.write_failed("write", &open.path, &error).await);
            }
        }
    }
}

#[async_trait::async_trait]
impl FileSystem for SftpFiles {
    const STAGED_PREFIX: &'static str = "";

    async fn create_folder(&mut self, path: &str) -> Result<bool, DeliveryError> {
        let path = self.session.path(path);
        match self.session.request(self.session.raw.stat(&path)).await {
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(operation("find", &path, &error)),
            Ok(found) if found.attrs.permissions.is_none() || found.attrs.file_type().is_dir() => return Ok(false),
            Ok(_) => return Err(refused(format!("{path} is not a directory"))),
        }
        match self.session.request(self.session.raw.mkdir(&path, FileAttributes::empty())).await {
            Ok(_) => Ok(true),
            // Another delivery may have created it in the meantime.
            Err(_) if self.session.request(self.session.raw.stat(&path)).await.is_ok() => Ok(false),
            Err(error) => Err(self.session.write_failed("create", &path, &error).await),
        }
    }

    async fn create_file(&mut self, path: &str) -> Result<(), DeliveryError> {
        self.discard_file().await;
        let path = self.session.path(path);
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        match self.session.request(self.session.raw.open(&path, flags, FileAttributes::empty())).await {
            Ok(opened) => {
                let in_flight = FuturesUnordered::new();
                self.open = Some(OpenFile { handle: opened.handle, path, offset: 0, in_flight, bytes_in_flight: 0 });
                Ok(())
            }
            Err(error) => Err(self.session.write_failed("create", &path, &error).await),
        }
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), DeliveryError> {
        let limit = self.session.extensions.max_write_bytes;
        let limit = limit.map_or(DEFAULT_WRITE_BYTES, |limit| usize::try_from(limit).unwrap_or(MAX_WRITE_BYTES));
        let limit = limit.clamp(1, MAX_WRITE_BYTES);
        // Writes of the same size, instead of a small one at the end.
        let write_bytes = bytes.len().div_ceil(bytes.len().div_ceil(limit).max(1)).max(1);
        for start in (0..bytes.len()).step_by(write_bytes) {
            let piece = bytes.slice(start..bytes.len().min(start + write_bytes));
            self.await_writes(MAX_BYTES_IN_FLIGHT - piece.len(), MAX_WRITES_IN_FLIGHT - 1).await?;
            let session = Arc::clone(&self.session);
            let Some(open) = &mut self.open else { return Err(no_file()) };
            let (handle, offset) = (open.handle.clone(), open.offset);
            open.offset += piece.len() as u64;
            open.bytes_in_flight += piece.len();
            let write =
                async move { (piece.len(), session.request(session.raw.write(handle, offset, piece.to_vec())).await) };
            open.in_flight.push(write.boxed());
        }
        self.await_writes(MAX_BYTES_IN_FLIGHT, MAX_WRITES_IN_FLIGHT).await
    }

    async fn finish_file(&mut self) -> Result<(), DeliveryError> {
        self.await_writes(0, 0).await?;
        let open = self.open.take().ok_or_else(no_file)?;
        self.session.raw.set_timeout(SYNC_TIMEOUT_SECONDS);
        let synced = if self.session.extensions.fsync {
            self.session.request(self.session.raw.fsync(&open.handle)).await.map(drop)
        } else {
            Ok(())
        };
        let result = match synced {
            Ok(()) => self.session.close(&open.handle, &open.path).await,
            Err(error) => Err(self.session.write_failed("write", &open.path, &error).await),
        };
        self.session.raw.set_timeout(OPERATION_TIMEOUT_SECONDS);
        result
    }

    async fn discard_file(&mut self) {
        if let Some(open) = self.open.take() {
            // The file is removed or left to the next attempt.
            let _ = self.session.close(&open.handle, &open.path).await;
        }
    }

    async fn rename(&mut self, from: &str, to: &str, removable: bool) -> Result<(), DeliveryError> {
        self.session.rename(&self.session.path(from), &self.session.path(to), removable).await
    }

    /// SFTP has no operation for it.
    async fn sync_folder(&mut self, _: &str) -> Result<(), DeliveryError> {
        Ok(())
    }

    async fn remove_file(&mut self, path: &str) -> Result<(), DeliveryError> {
        let path = self.session.path(path);
        match self.session.request(self.session.raw.remove(&path)).await {
            Err(error) if !is_missing(&error) => Err(operation("remove", &path, &error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn remove_folder(&mut self, path: &str) -> Result<(), DeliveryError> {
        let path = self.session.path(path);
        self.session
            .request(self.session.raw.rmdir(&path))
            .await
            .map(drop)
            .map_err(|error| operation("remove", &path, &error))
    }

    async fn list(&mut self, path: &str) -> Result<Vec<Entry>, DeliveryError> {
        let path = self.session.path(path);
        let failed = |error: &SftpError| operation("list", &path, error);
        let handle = match self.session.request(self.session.raw.opendir(&path)).await {
            Ok(opened) => opened.handle,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        let mut entries = Vec::new();
        loop {
            match self.session.request(self.session.raw.readdir(&handle)).await {
                Ok(page) => {
                    let files = page.files.into_iter().filter(|file| is_segment(&file.filename));
                    entries.extend(files.map(entry));
                }
                Err(error) if status(&error) == Some(StatusCode::Eof) => break,
                Err(error) => return Err(failed(&error)),
            }
            if entries.len() > MAX_ENTRIES {
                let detail = format!("{path} has more than {MAX_ENTRIES} entries");
                return Err(DeliveryError::new(FailureCode::LimitExceeded, detail));
            }
        }
        self.session.request(self.session.raw.close(handle)).await.map_err(|error| failed(&error))?;
        Ok(entries)
    }

    async fn read(&mut self, path: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, DeliveryError> {
        let path = self.session.path(path);
        let failed = |error: &SftpError| operation("read", &path, error);
        let handle =
            match self.session.request(self.session.raw.open(&path, OpenFlags::READ, FileAttributes::empty())).await {
                Ok(opened) => opened.handle,
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(failed(&error)),
            };
        let mut content = Vec::new();
        while content.len() <= max_bytes {
            match self.session.request(self.session.raw.read(&handle, content.len() as u64, READ_BYTES)).await {
                Ok(read) if read.data.is_empty() => break,
                Ok(read) => content.extend_from_slice(&read.data),
                Err(error) if status(&error) == Some(StatusCode::Eof) => break,
                Err(error) => return Err(failed(&error)),
            }
        }
        self.session.request(self.session.raw.close(handle)).await.map_err(|error| failed(&error))?;
        Ok(Some(content).filter(|content| content.len() <= max_bytes))
    }
}

fn entry(file: File) -> Entry {
    let is_folder = file.attrs.file_type().is_dir();
    Entry { name: file.filename, is_folder }
}

fn no_file() -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, "no file is open")
}
