//! Operations on a directory of an SSH server.

use std::time::Duration;

use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{Packet, StatusCode};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::errors::{operation, refused, status};
use super::subsystem::{Extensions, POSIX_RENAME};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// A failed write with less free space than this is reported as a full disk.
const MIN_FREE_BYTES: u64 = 1 << 20;

/// How long responses are taken after the connection has ended.
const LAST_RESPONSES: Duration = Duration::from_millis(500);

/// A directory on a server, and what the server can do.
pub struct Session {
    /// The requests of the protocol, each for [`Self::request`].
    pub raw: RawSftpSession,
    /// Extensions of the server.
    pub extensions: Extensions,
    directory: String,
    ended: CancellationToken,
}

impl Session {
    /// Opens a directory, which must exist, on a connection.
    pub async fn open(
        raw: RawSftpSession,
        extensions: Extensions,
        connection: &Connection,
        directory: &str,
    ) -> Result<Self, DeliveryError> {
        let ended = connection.ended.clone();
        let session = Self { raw, extensions, directory: directory.trim_end_matches('/').to_owned(), ended };
        let found = session.request(session.raw.stat(directory)).await;
        let found = found.map_err(|error| operation("find", directory, &error))?;
        if found.attrs.permissions.is_some() && !found.attrs.file_type().is_dir() {
            return Err(refused(format!("{directory} is not a directory")));
        }
        Ok(session)
    }

    /// Sends a request and waits for its response. Nothing is sent after the connection has ended: there would be no response
    /// before the timeout.
    pub async fn request<T>(&self, request: impl Future<Output = Result<T, SftpError>>) -> Result<T, SftpError> {
        let lost_error = || Err(SftpError::IO("the connection was lost".to_owned()));
        if self.ended.is_cancelled() {
            return lost_error();
        }
        let lost = async {
            self.ended.cancelled().await;
            // A response that has arrived is still taken.
            tokio::time::sleep(LAST_RESPONSES).await;
        };
        tokio::select! {
            biased;
            response = request => response,
            () = lost => lost_error(),
        }
    }

    /// The path on the server.
    pub fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.directory)
    }

    /// The failure of a write or of the creation of a file. A full disk has no status of its own.
    pub async fn write_failed(&self, doing: &str, path: &str, error: &SftpError) -> DeliveryError {
        if status(error) == Some(StatusCode::Failure) && self.is_full().await {
            return DeliveryError::new(FailureCode::DestinationFull, format!("cannot {doing} {path}: no space left"));
        }
        operation(doing, path, error)
    }

    async fn is_full(&self) -> bool {
        if !self.extensions.statvfs {
            return false;
        }
        let directory = if self.directory.is_empty() { "/" } else { &self.directory };
        let Ok(found) = self.request(self.raw.statvfs(directory)).await else { return false };
        // File systems without a fixed number of inodes report none.
        let has_inodes = found.inodes == 0 || found.inodes_avail > 0;
        found.blocks_avail.saturating_mul(found.fragment_size) < MIN_FREE_BYTES || !has_inodes
    }

    /// Closes the handle of a file that was written, and waits for the response.
    pub async fn close(&self, handle: &str, path: &str) -> Result<(), DeliveryError> {
        match self.request(self.raw.close(handle)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.write_failed("write", path, &error).await),
        }
    }

    /// Renames a file. Without [`POSIX_RENAME`] an existing file is removed first, if that is permitted.
    pub async fn rename(&self, from: &str, to: &str, removable: bool) -> Result<(), DeliveryError> {
        let failed = |error: &SftpError| operation("rename to", to, error);
        if self.extensions.posix_rename {
            return self.posix_rename(from, to).await.map_err(|error| failed(&error));
        }
        // Some servers replace an existing file here; the protocol says that they should not.
        let Err(error) = self.request(self.raw.rename(from, to)).await else { return Ok(()) };
        if self.request(self.raw.stat(to)).await.is_err() {
            return Err(failed(&error));
        }
        if !removable {
            return Err(refused(format!(
                "cannot rename to {to}: the server cannot replace a file atomically ({POSIX_RENAME}), and the name does not \
                 hold the run"
            )));
        }
        self.request(self.raw.remove(to)).await.map_err(|error| operation("remove", to, &error))?;
        self.request(self.raw.rename(from, to)).await.map(drop).map_err(|error| failed(&error))
    }

    async fn posix_rename(&self, from: &str, to: &str) -> Result<(), SftpError> {
        let mut paths = Vec::new();
        for path in [from, to] {
            let length = u32::try_from(path.len()).map_err(|_| SftpError::Limited("path".to_owned()))?;
            paths.extend_from_slice(&length.to_be_bytes());
            paths.extend_from_slice(path.as_bytes());
        }
        let response = self.request(self.raw.extended(POSIX_RENAME, paths)).await?;
        let Packet::Status(status) = response else { return Err(SftpError::UnexpectedPacket) };
        if status.status_code == StatusCode::Ok { Ok(()) } else { Err(SftpError::Status(status)) }
    }
}
