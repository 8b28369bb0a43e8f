//! Reads key sets from a file, a URL or a fixed text.
//!
//! The operator sets the URL, or the issuer that publishes it, so it may have a private address. Redirects and proxies are
//! not followed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use reqwest::{Method, Request, StatusCode, Url};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::discovery;
use super::jwk::{self, VerificationKey};
use super::key_set_error::{KeySetError, MAX_KEY_SET_BYTES};
use crate::dialer::{DialError, Dialer, HttpClient, HttpOptions};

/// The timeout of a fetch, including the connection.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the key set of an issuer is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A file, which is read again at each refresh.
    File(PathBuf),
    /// A URL with the scheme `https`, or `http` if the operator sets it. Redirects and proxies are not followed.
    Url {
        /// The URL.
        url: String,
        /// Adds headers with the trace context to each request.
        headers: fn(&mut HeaderMap),
        /// Opens the connections.
        dialer: Dialer,
    },
    /// The URL that the discovery document of an issuer names.
    Issuer {
        /// The issuer, a URL as that of a key set.
        issuer: String,
        /// Adds headers with the trace context to each request.
        headers: fn(&mut HeaderMap),
        /// Opens the connections.
        dialer: Dialer,
    },
    /// The key set itself, which never changes.
    Fixed(String),
}

/// A validated source, with its HTTP client.
pub(super) enum Source {
    File(PathBuf),
    Url(Download),
    Issuer { issuer: String, document: Download, dialer: Dialer },
    Fixed(String),
}

/// A URL and the client that fetches it.
pub(super) struct Download {
    client: HttpClient,
    url: Url,
    headers: fn(&mut HeaderMap),
}

/// A key set that was read.
pub(super) struct Loaded {
    /// The usable keys, at least one.
    pub(super) keys: Vec<Arc<VerificationKey>>,
    /// The SHA-256 of the bytes of the set.
    pub(super) digest: [u8; 32],
}

impl Source {
    /// Validates a source. Fails with [`KeySetError::Url`] if its URL cannot be that of a key set.
    pub(super) fn new(source: KeySource) -> Result<Self, KeySetError> {
        match source {
            KeySource::File(path) => Ok(Self::File(path)),
            KeySource::Url { url, headers, dialer } => {
                Download::open(&dialer, parse_url(&url)?, headers).map(Self::Url)
            }
            KeySource::Issuer { issuer, headers, dialer } => {
                let document = Download::open(&dialer, parse_url(&discovery::url(&issuer))?, headers)?;
                Ok(Self::Issuer { issuer, document, dialer })
            }
            KeySource::Fixed(json) => Ok(Self::Fixed(json)),
        }
    }

    /// Whether the set never changes and therefore never becomes stale.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Whether the set comes from another host, which can be unavailable.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Url(_) | Self::Issuer { .. })
    }

    /// Reads the set. A set without a usable key is an error.
    pub(super) async fn read(&self) -> Result<Loaded, KeySetError> {
        let bytes = match self {
            Self::File(path) => read_file(path)?,
            Self::Url(download) => download.fetch().await?,
            Self::Issuer { issuer, document, dialer } => {
                let url = discovery::key_set_url(issuer, &document.fetch().await?)?;
                Download::open(dialer, url, document.headers)?.fetch().await?
            }
            Self::Fixed(json) => json.as_bytes().to_vec(),
        };
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let keys: Vec<_> = jwk::parse_set(&bytes)
            .ok_or_else(|| KeySetError::Malformed { found: describe(&bytes) })?
            .into_iter()
            .map(Arc::new)
            .collect();
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Loaded { keys, digest: Sha256::digest(&bytes).into() })
    }
}

fn parse_url(text: &str) -> Result<Url, KeySetError> {
    let url = Url::parse(text).map_err(|_| KeySetError::Url)?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() || !anonymous {
        return Err(KeySetError::Url);
    }
    Ok(url)
}

/// Describes what was found instead of a key set, without any of its content.
fn describe(bytes: &[u8]) -> &'static str {
    if bytes.trim_ascii_start().starts_with(b"<") {
        return "HTML or XML";
    }
    match serde_json::from_slice::<Value>(bytes) {
        Err(_) => "not JSON",
        Ok(document) if document.get("jwks_uri").is_some() => {
            "a discovery document, whose `jwks_uri` is the URL of the key set"
        }
        Ok(document) if document.get("kty").is_some() => "a single key",
        Ok(document) if document.get("keys").is_some() => "an object whose `keys` is no array of that size",
        Ok(_) => "JSON without `keys`",
    }
}

/// Reads at most one byte more than [`MAX_KEY_SET_BYTES`]. It blocks: the file is small and local, and read at most twice a
/// minute.
fn read_file(path: &Path) -> Result<Vec<u8>, KeySetError> {
    let failed = |cause| KeySetError::File { path: path.to_owned(), cause };
    let limit = u64::try_from(MAX_KEY_SET_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

impl Download {
    fn open(dialer: &Dialer, url: Url, headers: fn(&mut HeaderMap)) -> Result<Self, KeySetError> {
        let options = HttpOptions { timeout: Some(FETCH_TIMEOUT), ..HttpOptions::default() };
        let client = dialer.operator_client(&url, options).map_err(KeySetError::Fetch)?;
        Ok(Self { client, url, headers })
    }

    /// Downloads a document. Stops when the body exceeds [`MAX_KEY_SET_BYTES`].
    async fn fetch(&self) -> Result<Vec<u8>, KeySetError> {
        let mut request = Request::new(Method::GET, self.url.clone());
        (self.headers)(request.headers_mut());
        let mut response = self.client.execute(request).await.map_err(KeySetError::Fetch)?;
        if response.status() != StatusCode::OK {
            return Err(KeySetError::Status { host: host(&self.url), status: response.status() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|cause| fetch_error(&self.url, &cause))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_KEY_SET_BYTES {
                return Err(KeySetError::TooLarge);
            }
        }
        Ok(body)
    }
}

/// The error without the URL, because its query may contain what must not be logged.
fn fetch_error(url: &Url, cause: &reqwest::Error) -> KeySetError {
    KeySetError::Fetch(DialError::from_reqwest(&host(url), cause))
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
