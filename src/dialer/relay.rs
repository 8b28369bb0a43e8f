//! Connections of the dialer for sqlx, which opens its sockets itself.

use std::io;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

/// A Unix socket that leads to an open connection, for one client. The connection ends when this is dropped.
pub struct Relay {
    // Fields are dropped in order: the listener ends before its directory is removed.
    task: AbortOnDropHandle<io::Result<()>>,
    directory: TempDir,
}

impl Relay {
    /// Listens in a new directory of mode 0700, and forwards one connection. `port` is part of the name of the socket.
    pub fn new(mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, port: u16) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("outflow-").tempdir()?;
        let listener = UnixListener::bind(directory.path().join(format!(".s.PGSQL.{port}")))?;
        let task = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await?;
            drop(listener);
            tokio::io::copy_bidirectional(&mut client, &mut stream).await.map(drop)
        });
        Ok(Self { task: AbortOnDropHandle::new(task), directory })
    }

    /// The directory of the socket, for the option `socket` of sqlx.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until either side has closed the connection, and returns the error that ended it.
    pub async fn closed(&mut self) -> io::Result<()> {
        (&mut self.task).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
