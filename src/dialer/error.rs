//! Why a connection was not opened or a request failed.

use std::error::Error;
use std::io;
use std::iter;

use tokio_rustls::rustls;

use crate::model::FailureCode;

/// Why a connection was not opened or a request failed. Its text names the host and never a path or query of a URL.
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
    /// The URL is not an https URL.
    #[error("the URL of {host} must start with https://")]
    NotHttps {
        /// The host; empty if the URL has none.
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
    /// TLS could not be established: the certificate is not trusted, or the server does not speak TLS.
    #[error("cannot establish TLS with {host}: {cause}")]
    Tls {
        /// The host.
        host: String,
        /// The error.
        cause: io::Error,
    },
    /// The request failed after the connection was opened: it timed out, or the connection ended. The server may have
    /// received the request.
    #[error("the request to {host} failed: {cause}")]
    Exchange {
        /// The host.
        host: String,
        /// The error.
        cause: io::Error,
    },
    /// The certificates of the authorities are not certificates in PEM.
    #[error("the certificates of the authorities must be PEM certificates")]
    Authorities,
    /// A resource of this host is missing, such as a directory for a socket.
    #[error("cannot set up a connection: {cause}")]
    Local {
        /// The error.
        cause: io::Error,
    },
}

impl DialError {
    /// The code for callers.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Exchange { .. } => FailureCode::DestinationUnreachable,
            Self::Forbidden { .. } | Self::NotHttps { .. } => FailureCode::AddressForbidden,
            Self::Tls { .. } | Self::Authorities => FailureCode::TlsFailed,
            Self::Local { .. } => FailureCode::Internal,
        }
    }

    /// Finds the error of the dialer among the causes of another error, such as one of `object_store`.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(<dyn Error>::downcast_ref)
    }

    /// Classifies an error of a request or of the body of its response.
    pub fn from_reqwest(host: &str, error: &reqwest::Error) -> Self {
        if let Some(found) = Self::find(error) {
            return found.duplicate();
        }
        let host = host.to_owned();
        if let Some(tls) = causes(error).find_map(<dyn Error>::downcast_ref::<rustls::Error>) {
            return Self::Tls { host, cause: io::Error::new(io::ErrorKind::InvalidData, tls.to_string()) };
        }
        let cause = io_error(error);
        if error.is_connect() { Self::Connect { host, cause } } else { Self::Exchange { host, cause } }
    }

    /// A copy with the kinds and texts of the causes.
    fn duplicate(&self) -> Self {
        let copy = |cause: &io::Error| io::Error::new(cause.kind(), cause.to_string());
        match self {
            Self::Resolve { host, cause } => Self::Resolve { host: host.clone(), cause: copy(cause) },
            Self::Forbidden { host } => Self::Forbidden { host: host.clone() },
            Self::NotHttps { host } => Self::NotHttps { host: host.clone() },
            Self::Connect { host, cause } => Self::Connect { host: host.clone(), cause: copy(cause) },
            Self::Tls { host, cause } => Self::Tls { host: host.clone(), cause: copy(cause) },
            Self::Exchange { host, cause } => Self::Exchange { host: host.clone(), cause: copy(cause) },
            Self::Authorities => Self::Authorities,
            Self::Local { cause } => Self::Local { cause: copy(cause) },
        }
    }
}

/// The error of the operating system that caused an error of reqwest, or else the text of its last cause.
pub(super) fn io_error(error: &reqwest::Error) -> io::Error {
    if error.is_timeout() {
        return io::Error::new(io::ErrorKind::TimedOut, "timed out");
    }
    if let Some(cause) = causes(error).filter_map(<dyn Error>::downcast_ref::<io::Error>).last() {
        return io::Error::new(cause.kind(), cause.to_string());
    }
    // The first is the error of reqwest, whose text holds the URL.
    let last = causes(error).skip(1).last();
    io::Error::other(last.map_or_else(|| "invalid request".to_owned(), ToString::to_string))
}

/// An error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| next_cause(*error))
}

/// The cause of an error. `source` of an I/O error skips the error inside of it.
fn next_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
