//! Why a key set could not be loaded. The errors tell what an operator must look at.

use std::io;
use std::path::PathBuf;

use reqwest::StatusCode;

use super::jwk;
use crate::dialer::DialError;

/// The largest key set in bytes.
pub const MAX_KEY_SET_BYTES: usize = 1024 * 1024;

/// Why a key set was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The file could not be read.
    #[error("cannot read key set {}: {cause}", path.display())]
    File {
        /// The file that was read.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The URL cannot be that of a key set.
    #[error("the URL of the key set must start with https:// or http://, have a host and no user information")]
    Url,
    /// The fetch failed.
    #[error("cannot fetch the key set: {0}")]
    Fetch(DialError),
    /// The response did not have status 200.
    #[error("cannot fetch the key set from {host}: HTTP status {status}{}", status_hint(*status))]
    Status {
        /// The host of the URL.
        host: String,
        /// The status of the response.
        status: StatusCode,
    },
    /// The set is larger than [`MAX_KEY_SET_BYTES`].
    #[error("the key set is larger than {MAX_KEY_SET_BYTES} bytes")]
    TooLarge,
    /// The bytes are not a JSON Web Key Set, or it has too many keys.
    #[error("the key set is {found}, not a JSON Web Key Set of at most {} keys", jwk::MAX_KEYS)]
    Malformed {
        /// What the bytes seem to be.
        found: &'static str,
    },
    /// The document of the issuer is not a discovery document.
    #[error("the discovery document of the issuer is not a JSON object with `issuer` and the URL `jwks_uri`")]
    NotDiscovery,
    /// The discovery document is that of another issuer.
    #[error(
        "the discovery document names the issuer `{seen}`, not `{expected}`; they must be equal, a slash at the end included"
    )]
    OtherIssuer {
        /// The configured issuer.
        expected: String,
        /// The issuer of the document, escaped.
        seen: String,
    },
    /// The discovery document of an issuer with https names a key set without it.
    #[error("the discovery document names a key set whose URL does not start with https://")]
    Insecure,
    /// No key of the set can verify a signature.
    #[error("the key set has no key for a permitted signature algorithm")]
    NoUsableKey,
}

fn status_hint(status: StatusCode) -> &'static str {
    if status.is_redirection() {
        "; redirects are not followed"
    } else if status == StatusCode::NOT_FOUND {
        "; check `jwt_jwks_url`, or without it `jwt_issuer`"
    } else {
        ""
    }
}
