//! Unix sockets that lead to checked addresses, for libraries that cannot be given a connection.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::error::DialError;
use super::network::Network;

/// Maximum number of connections at once through a relay. Others wait.
pub const MAX_RELAYED_CONNECTIONS: usize = 8;

/// A directory with a Unix socket that leads to a checked address. Dropping it closes its connections and removes the
/// directory.
#[derive(Debug)]
pub struct Relay {
    // Fields are dropped in order: the listener ends before its directory is removed.
    _accepting: AbortOnDropHandle<()>,
    directory: TempDir,
}

impl Network {
    /// Listens on a Unix socket, as PostgreSQL names it for `port`, in a new directory of mode 0700, and forwards each
    /// connection to a permitted address of `host`. The first of them is opened now, so that its error is returned here; the
    /// host is resolved and checked again for each other.
    pub async fn relay(&self, host: &str, port: u16) -> Result<Relay, DialError> {
        let first = self.connect(host, port).await?;
        let local = |cause| DialError::Local { cause };
        let owner_only = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix("outflow-").permissions(owner_only).tempdir().map_err(local)?;
        let listener = UnixListener::bind(directory.path().join(format!(".s.PGSQL.{port}"))).map_err(local)?;
        let accepting = accept(listener, self.clone(), host.to_owned(), port, first);
        Ok(Relay { _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)), directory })
    }
}

impl Relay {
    /// The directory to connect to.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Forwards connections until it is aborted, which aborts them too.
async fn accept(listener: UnixListener, network: Network, host: String, port: u16, first: TcpStream) {
    let (mut connections, mut first) = (JoinSet::new(), Some(first));
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_RELAYED_CONNECTIONS => match accepted {
                Ok((near, _)) => {
                    connections.spawn(forward(near, network.clone(), host.clone(), port, first.take()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a relay cannot accept connections");
                    return;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Copies in both directions until both sides have ended. An error ends the connection; the library reports it.
async fn forward(mut near: UnixStream, network: Network, host: String, port: u16, far: Option<TcpStream>) {
    let connected = match far {
        Some(far) => Ok(far),
        None => network.connect(&host, port).await,
    };
    let copied = match connected {
        Ok(mut far) => copy_bidirectional(&mut near, &mut far).await,
        Err(error) => Err(io::Error::other(error)),
    };
    if let Err(error) = copied {
        tracing::debug!(%host, %error, "a relayed connection ended");
    }
}
