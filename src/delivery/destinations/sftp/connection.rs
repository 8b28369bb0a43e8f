//! Opens a connection to an SSH server whose host key is the configured one.

use std::borrow::Cow;
use std::net::{Shutdown, TcpStream as StdTcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::client::{Config, DisconnectReason, Handle, Handler};
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};
use russh::{AlgorithmKind, Preferred, cipher};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::errors;
use crate::delivery::DeliveryError;
use crate::delivery::destinations::CheckStep;
use crate::delivery::destinations::progress::Progress;
use crate::dialer::{DialError, Network};
use crate::model::FailureCode;

/// Maximum duration of the key exchange.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of keepalive messages while the server sends nothing.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// How many of them may be without a response.
const MAX_UNANSWERED_KEEPALIVES: usize = 3;

/// A server and its host key.
pub struct Server {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Fingerprints of the accepted host keys, `SHA256:` and base64 each, separated by commas.
    pub host_key: String,
}

/// A connection, which ends when this is dropped.
pub struct Connection {
    /// The SSH session.
    pub ssh: Handle<Client>,
    /// Whether the server ended the connection with a message, and not the network.
    pub ended_by_server: Arc<AtomicBool>,
    /// Cancelled when the SSH session has ended.
    pub ended: CancellationToken,
    _socket: Socket,
}

/// Closes the socket when it is dropped. The task of the SSH session has its own handle of it, and would otherwise wait for
/// a server that does not respond.
struct Socket(StdTcpStream);

impl Drop for Socket {
    fn drop(&mut self) {
        // Fails if the peer closed it.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Callbacks of the SSH session.
pub struct Client {
    host_key: String,
    ended_by_server: Arc<AtomicBool>,
    /// The session drops this before it closes its channels.
    _ended: DropGuard,
}

/// Why the key exchange failed.
#[derive(Debug)]
pub enum HandshakeError {
    /// The host key is not the configured one.
    HostKey {
        /// Its fingerprint.
        found: String,
        /// Its algorithm.
        algorithm: Algorithm,
    },
    /// The protocol or the network.
    Ssh(russh::Error),
}

impl From<russh::Error> for HandshakeError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Handler for Client {
    type Error = HandshakeError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, HandshakeError> {
        let key = key.public_key();
        let found = key.fingerprint(HashAlg::Sha256).to_string();
        if self.host_key.split(',').any(|accepted| accepted == found) {
            return Ok(true);
        }
        Err(HandshakeError::HostKey { found, algorithm: key.algorithm() })
    }

    async fn disconnected(&mut self, reason: DisconnectReason<HandshakeError>) -> Result<(), HandshakeError> {
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => {
                self.ended_by_server.store(true, Ordering::Release);
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

/// Connects and verifies the host key.
///
/// A server can have several host keys, and the configured fingerprints do not tell the algorithms of their keys. After a key
/// that differs, the server is asked for a key of another algorithm, until there is none.
pub async fn connect(network: &Network, server: &Server, progress: &mut Progress) -> Result<Connection, DeliveryError> {
    let mut algorithms = host_key_algorithms();
    let mut other_key: Option<String> = None;
    while !algorithms.is_empty() {
        let stream = dial(network, server, progress).await?;
        progress.begin(CheckStep::Tls);
        match handshake(stream, server, &algorithms).await? {
            Ok(connection) => return Ok(connection),
            Err(HandshakeError::HostKey { found, algorithm }) => {
                other_key.get_or_insert(found);
                algorithms.retain(|other| !is_same_key_type(other, &algorithm));
            }
            Err(HandshakeError::Ssh(russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, .. }))
                if other_key.is_some() =>
            {
                break;
            }
            Err(HandshakeError::Ssh(error)) => return Err(errors::handshake(&error)),
        }
    }
    let found = other_key.unwrap_or_default();
    let detail = format!("the host key of {} is {found}", server.host);
    progress.found_host_key = Some(found);
    Err(DeliveryError::new(FailureCode::HostKeyMismatch, detail))
}

async fn dial(network: &Network, server: &Server, progress: &mut Progress) -> Result<TcpStream, DeliveryError> {
    progress.begin(CheckStep::Resolve);
    let connected = network.connect(&server.host, server.port).await;
    connected.map_err(|error| {
        if matches!(error, DialError::Connect { .. }) {
            progress.begin(CheckStep::Connect);
        }
        DeliveryError::new(error.code(), error.to_string())
    })
}

async fn handshake(
    stream: TcpStream,
    server: &Server,
    algorithms: &[Algorithm],
) -> Result<Result<Connection, HandshakeError>, DeliveryError> {
    let (stream, socket) = split(stream).map_err(|error| {
        DeliveryError::with(FailureCode::DestinationUnreachable, "cannot use the connection", error)
    })?;
    let config = Config {
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: MAX_UNANSWERED_KEEPALIVES,
        preferred: Preferred {
            key: Cow::Owned(algorithms.to_vec()),
            cipher: Cow::Owned(ciphers()),
            ..Preferred::default()
        },
        ..Config::default()
    };
    let ended_by_server = Arc::new(AtomicBool::new(false));
    let ended = CancellationToken::new();
    let client = Client {
        host_key: server.host_key.clone(),
        ended_by_server: Arc::clone(&ended_by_server),
        _ended: ended.clone().drop_guard(),
    };
    let connecting = russh::client::connect_stream(Arc::new(config), stream, client);
    let Ok(connected) = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting).await else {
        return Err(errors::timed_out("SSH handshake"));
    };
    Ok(connected.map(|ssh| Connection { ssh, ended_by_server, ended, _socket: socket }))
}

fn split(stream: TcpStream) -> std::io::Result<(TcpStream, Socket)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let socket = Socket(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, socket))
}

/// The ciphers, most preferred first: AES-GCM takes half the time of ChaCha20-Poly1305 on processors with instructions for it.
fn ciphers() -> Vec<cipher::Name> {
    let mut all = Preferred::default().cipher.into_owned();
    all.sort_by_key(|name| *name != cipher::AES_256_GCM);
    all
}

/// The algorithms of host keys, most preferred first: all but `ssh-rsa`, whose signatures use SHA-1.
fn host_key_algorithms() -> Vec<Algorithm> {
    let all = Preferred::default().key;
    all.iter().filter(|algorithm| !matches!(algorithm, Algorithm::Rsa { hash: None })).cloned().collect()
}

/// Whether two algorithms use the same type of key; those of RSA differ in the hash only.
fn is_same_key_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}
