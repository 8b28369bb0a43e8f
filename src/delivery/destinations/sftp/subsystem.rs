//! Starts the SFTP subsystem of an authenticated connection.

use std::time::Duration;

use russh::ChannelMsg;
use russh_sftp::client::rawsession::Limits;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::extensions::{FSYNC, LIMITS, STATVFS};

use super::connection::Connection;
use super::errors::{self, refused};
use super::stream::SessionStream;
use crate::delivery::DeliveryError;

/// Renames a file onto an existing one, as POSIX defines it.
pub const POSIX_RENAME: &str = "posix-rename@openssh.com";
/// Maximum duration of an operation on a file, in seconds.
pub const OPERATION_TIMEOUT_SECONDS: u64 = 60;
/// Maximum duration of the start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The extensions of a server that a delivery uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extensions {
    /// Renames onto existing files.
    pub posix_rename: bool,
    /// Writes a file to durable storage.
    pub fsync: bool,
    /// Free space of a file system.
    pub statvfs: bool,
    /// Maximum number of bytes of one write; `None`: the server does not tell.
    pub max_write_bytes: Option<u64>,
}

/// Starts the subsystem.
pub async fn start(connection: &Connection) -> Result<(RawSftpSession, Extensions), DeliveryError> {
    let started = tokio::time::timeout(START_TIMEOUT, open(connection)).await;
    started.unwrap_or_else(|_| Err(errors::timed_out("start of SFTP")))
}

async fn open(connection: &Connection) -> Result<(RawSftpSession, Extensions), DeliveryError> {
    let lost = |_| errors::lost("the start of SFTP");
    let mut channel = match connection.ssh.channel_open_session().await {
        Err(russh::Error::ChannelOpenFailure(_)) => return Err(refused("the server permits no session")),
        opened => opened.map_err(lost)?,
    };
    channel.request_subsystem(true, "sftp").await.map_err(lost)?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure | ChannelMsg::Close) => return Err(refused("the server offers no SFTP")),
            Some(_) => {}
            None => return Err(errors::lost("the start of SFTP")),
        }
    }
    let config = Config { request_timeout_secs: OPERATION_TIMEOUT_SECONDS, ..Config::default() };
    let session = RawSftpSession::new_with_config(SessionStream::new(channel.into_stream(), &connection.ended), config);
    let version = session.init().await.map_err(|error| errors::operation("start", "SFTP", &error))?;
    let has =
        |name: &str, version_of_it: &str| version.extensions.get(name).is_some_and(|found| found == version_of_it);
    let mut extensions = Extensions {
        posix_rename: has(POSIX_RENAME, "1"),
        fsync: has(FSYNC, "1"),
        statvfs: has(STATVFS, "2"),
        max_write_bytes: None,
    };
    if has(LIMITS, "1") {
        let limits = session.limits().await.map_err(|error| errors::operation("start", "SFTP", &error))?;
        let limits = Limits::from(limits);
        extensions.max_write_bytes = limits.write_len;
    }
    Ok((session, extensions))
}
