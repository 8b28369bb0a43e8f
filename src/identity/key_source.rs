//! Where key sets come from: a file, a URL, or the configuration itself.
//!
//! The URL is the operator's, so private addresses are fine; but it alone is asked, without redirects or proxies.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use reqwest::{Client, StatusCode, Url, redirect};
use sha2::{Digest, Sha256};

use super::jwk::{self, VerificationKey};

/// How long one fetch may take, connecting included.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest key set, in bytes.
pub const MAX_KEY_SET_BYTES: usize = 1024 * 1024;

/// Where an issuer's key set is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In a file, read anew at each refresh.
    File(PathBuf),
    /// At an `https` URL, or an `http` one if the operator wrote so. Redirects and proxies are not followed.
    Url {
        /// The URL.
        url: String,
        /// Adds headers to each request: the trace context.
        headers: fn(&mut HeaderMap),
    },
    /// Given here, for good.
    Fixed(String),
}

/// Why a key set was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The file could not be read.
    #[error("key set {}: {cause}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The URL is none that can be fetched.
    #[error("the key set's URL must be https:// or http://, with a host and without user information")]
    Url,
    /// The fetch failed.
    #[error("key set of {host}: {cause}")]
    Fetch {
        /// The host that was asked.
        host: String,
        /// What happened, without the URL.
        cause: reqwest::Error,
    },
    /// The answer was another than 200.
    #[error("key set of {host}: HTTP status {status}")]
    Status {
        /// The host that was asked.
        host: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The set is larger than [`MAX_KEY_SET_BYTES`].
    #[error("the key set is larger than {MAX_KEY_SET_BYTES} bytes")]
    TooLarge,
    /// The bytes are no JSON Web Key Set, or one of too many keys.
    #[error("not a JSON Web Key Set of at most {} keys", jwk::MAX_KEYS)]
    Malformed,
    /// No key of the set can verify a signature.
    #[error("the key set has no key that can verify a signature by a permitted algorithm")]
    NoUsableKey,
}

/// A source that is ready to be read.
pub(super) enum Source {
    File(PathBuf),
    Url { client: Client, url: Url, headers: fn(&mut HeaderMap) },
    Fixed(String),
}

/// What a source gave.
pub(super) struct Loaded {
    /// The usable keys, never none.
    pub(super) keys: Vec<Arc<VerificationKey>>,
    /// The SHA-256 of what they were read from.
    pub(super) digest: [u8; 32],
}

impl Source {
    /// Makes ready what the operator named; [`KeySetError::Url`] if that cannot be a key set's URL.
    pub(super) fn new(source: KeySource) -> Result<Self, KeySetError> {
        match source {
            KeySource::File(path) => Ok(Self::File(path)),
            KeySource::Url { url, headers } => open_client(&url, headers),
            KeySource::Fixed(json) => Ok(Self::Fixed(json)),
        }
    }

    /// Whether it never changes, and so never grows old.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Reads the set; an answer without a usable key is an error.
    pub(super) async fn read(&self) -> Result<Loaded, KeySetError> {
        let bytes = match self {
            Self::File(path) => read_file(path)?,
            Self::Url { client, url, headers } => download(client, url, *headers).await?,
            Self::Fixed(json) => json.as_bytes().to_vec(),
        };
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let keys: Vec<_> = jwk::parse_set(&bytes).ok_or(KeySetError::Malformed)?.into_iter().map(Arc::new).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Loaded { keys, digest: Sha256::digest(&bytes).into() })
    }
}

fn open_client(url: &str, headers: fn(&mut HeaderMap)) -> Result<Source, KeySetError> {
    let url = Url::parse(url).map_err(|_| KeySetError::Url)?;
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() || !anonymous {
        return Err(KeySetError::Url);
    }
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(FETCH_TIMEOUT)
        .https_only(url.scheme() == "https")
        .build()
        .map_err(|cause| fetch_error(&url, cause))?;
    Ok(Source::Url { client, url, headers })
}

/// Reads at most one byte more than a key set may have. The file is small and local, and read twice a minute at most.
fn read_file(path: &Path) -> Result<Vec<u8>, KeySetError> {
    let failed = |cause| KeySetError::File { path: path.to_owned(), cause };
    let limit = u64::try_from(MAX_KEY_SET_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Stops as soon as the body is larger than a key set may be.
async fn download(client: &Client, url: &Url, headers: fn(&mut HeaderMap)) -> Result<Vec<u8>, KeySetError> {
    let mut request = client.get(url.clone()).build().map_err(|cause| fetch_error(url, cause))?;
    headers(request.headers_mut());
    let mut response = client.execute(request).await.map_err(|cause| fetch_error(url, cause))?;
    if response.status() != StatusCode::OK {
        return Err(KeySetError::Status { host: host(url), status: response.status() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| fetch_error(url, cause))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
    }
    Ok(body)
}

/// The URL is left out of the cause: its query may hold what an operator would not want in a log.
fn fetch_error(url: &Url, cause: reqwest::Error) -> KeySetError {
    KeySetError::Fetch { host: host(url), cause: cause.without_url() }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
