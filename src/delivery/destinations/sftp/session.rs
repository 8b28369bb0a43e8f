//! Operations on a directory of an SSH server.

use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{Packet, StatusCode};

use super::errors::{operation, refused, status};
use super::subsystem::{Extensions, POSIX_RENAME};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// A failed write with less free space than this is reported as a full disk.
const MIN_FREE_BYTES: u64 = 1 << 20;

/// A directory on a server, and what the server can do.
pub struct Session {
    /// The requests of the protocol.
    pub raw: RawSftpSession,
    /// Extensions of the server.
    pub extensions: Extensions,
    directory: String,
}

impl Session {
    /// Opens a directory, which must exist.
    pub async fn open(raw: RawSftpSession, extensions: Extensions, directory: &str) -> Result<Self, DeliveryError> {
        let found = raw.stat(directory).await.map_err(|error| operation("find", directory, &error))?;
        if found.attrs.permissions.is_some() && !found.attrs.file_type().is_dir() {
            return Err(refused(format!("{directory} is not a directory")));
        }
        let directory = directory.trim_end_matches('/').to_owned();
        Ok(Self { raw, extensions, directory })
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
        let Ok(found) = self.raw.statvfs(directory).await else { return false };
        // File systems without a fixed number of inodes report none.
        let has_inodes = found.inodes == 0 || found.inodes_avail > 0;
        found.blocks_avail.saturating_mul(found.fragment_size) < MIN_FREE_BYTES || !has_inodes
    }

    /// Closes the handle of a file that was written, and waits for the response.
    pub async fn close(&self, handle: &str, path: &str) -> Result<(), DeliveryError> {
        match self.raw.close(handle).await {
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
        let Err(error) = self.raw.rename(from, to).await else { return Ok(()) };
        if self.raw.stat(to).await.is_err() {
            return Err(failed(&error));
        }
        if !removable {
            return Err(refused(format!(
                "cannot rename to {to}: the server cannot replace a file atomically ({POSIX_RENAME}), and the name does not \
                 hold the run"
            )));
        }
        self.raw.remove(to).await.map_err(|error| operation("remove", to, &error))?;
        self.raw.rename(from, to).await.map(drop).map_err(|error| failed(&error))
    }

    async fn posix_rename(&self, from: &str, to: &str) -> Result<(), SftpError> {
        let mut paths = Vec::new();
        for path in [from, to] {
            let length = u32::try_from(path.len()).map_err(|_| SftpError::Limited("path".to_owned()))?;
            paths.extend_from_slice(&length.to_be_bytes());
            paths.extend_from_slice(path.as_bytes());
        }
        let response = self.raw.extended(POSIX_RENAME, paths).await?;
        let Packet::Status(status) = response else { return Err(SftpError::UnexpectedPacket) };
        if status.status_code == StatusCode::Ok { Ok(()) } else { Err(SftpError::Status(status)) }
    }
}
