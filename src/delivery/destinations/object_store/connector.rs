//! HTTP below the clients of object stores: connections of the dialer, and a limit on the size of responses.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::delivery::DeliveryError;
use crate::dialer::{HttpOptions, Network, ObjectStoreConnector};

/// Timeout of a request with its body. Large enough for four parts of 8 MiB at once at 1 Mbit/s.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(5);

/// How often a request is repeated after errors that can pass.
const MAX_RETRIES: usize = 2;

/// Time after the first try of a request after which it is not repeated. Longer than one request.
const RETRY_TIMEOUT: Duration = Duration::from_mins(6);

/// Maximum time between two tries of a request.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Maximum size of a response. The largest are manifests, and pages of 1,000 keys of 1 KiB.
pub(super) const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Opens the HTTP clients of object stores.
#[derive(Clone, Debug)]
pub(super) struct Connector(ObjectStoreConnector);

impl Connector {
    /// A connector for one destination.
    pub(super) fn new(network: &Network) -> Result<Self, DeliveryError> {
        let options = HttpOptions { timeout: Some(REQUEST_TIMEOUT), root_certificates: None };
        let connector = network.object_store_connector(options);
        connector.map(Self).map_err(|error| DeliveryError::with(error.code(), "HTTP client", error))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        self.0.connect(options).map(|client| HttpClient::new(LimitResponses(client)))
    }
}

/// Ends responses that are larger than [`MAX_RESPONSE_BYTES`]: the clients of object stores collect them in memory.
#[derive(Debug)]
struct LimitResponses(HttpClient);

#[async_trait::async_trait]
impl HttpService for LimitResponses {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = self.0.execute(request).await?.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).map_err(|error| match error.downcast::<HttpError>() {
            Ok(error) => *error,
            Err(error) => HttpError::new_boxed(HttpErrorKind::Unknown, error),
        });
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// Retries of single requests. A run retries as a whole, so they are few.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: MAX_BACKOFF, ..BackoffConfig::default() },
        max_retries: MAX_RETRIES,
        retry_timeout: RETRY_TIMEOUT,
    }
}

/// Options of all clients: https only, and content types by the suffixes of files.
pub(super) fn client_options() -> ClientOptions {
    const CONTENT_TYPES: [(&str, &str); 6] = [
        ("csv", "text/csv"),
        ("json", "application/json"),
        ("jsonl", "application/x-ndjson"),
        ("parquet", "application/vnd.apache.parquet"),
        ("gz", "application/gzip"),
        ("zst", "application/zstd"),
    ];
    let options = ClientOptions::new().with_allow_http(false);
    CONTENT_TYPES
        .iter()
        .fold(options, |options, (suffix, content_type)| options.with_content_type_for_suffix(*suffix, *content_type))
}
