//! HTTP for `object_store`, whose own client follows redirects and uses proxies.

use std::time::Duration;

use object_store::client::{
    HttpClient as StoreClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::Url;

use super::error::DialError;
use super::http::{HttpClient, HttpOptions};
use super::network::{Dialer, Network};

/// Makes `object_store` send its requests to permitted addresses. The options that `object_store` passes to it, such as
/// timeouts, proxies and certificates, are not used.
#[derive(Clone, Debug)]
pub struct ObjectStoreConnector(HttpClient);

/// Connects an object store that the operator configured, whatever the addresses of it and of its identity are.
#[derive(Clone, Debug)]
pub struct OperatorObjectStoreConnector {
    https: HttpClient,
    http_or_https: HttpClient,
}

impl Network {
    /// A connector for `with_http_connector` of the builders of `object_store`. It speaks https only. [`DialError::find`]
    /// finds the cause in an error of `object_store`.
    pub fn object_store_connector(&self, options: HttpOptions) -> Result<ObjectStoreConnector, DialError> {
        self.http_client(options).map(ObjectStoreConnector)
    }
}

impl Dialer {
    /// A connector for `with_http_connector` of a builder whose options the operator configured. It speaks http only where
    /// `object_store` permits it: with the option `allow_http`, and to metadata services.
    pub fn operator_object_store_connector(
        &self,
        timeout: Duration,
    ) -> Result<OperatorObjectStoreConnector, DialError> {
        let client = |plaintext| {
            let options = HttpOptions { timeout: Some(timeout), root_certificates: None };
            HttpClient::new(self.unrestricted_network(), options, plaintext)
        };
        Ok(OperatorObjectStoreConnector { https: client(false)?, http_or_https: client(true)? })
    }
}

impl HttpConnector for OperatorObjectStoreConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<StoreClient> {
        // The spellings of `object_store`.
        let is_true = |value: String| ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str());
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(is_true);
        let client = if allows_http { &self.http_or_https } else { &self.https };
        ObjectStoreConnector(client.clone()).connect(options)
    }
}

impl HttpConnector for ObjectStoreConnector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<StoreClient> {
        Ok(StoreClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for ObjectStoreConnector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url =
            Url::parse(&request.uri().to_string()).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let client = self.0.client_for(&url).map_err(final_error)?;
        // The service of reqwest streams both bodies and classifies errors for retries.
        client.call(request).await.map_err(|error| classify(url.host_str().unwrap_or_default(), error))
    }
}

/// Replaces errors that cannot be overcome by a retry, and leaves the others as `object_store` classifies them.
fn classify(host: &str, error: HttpError) -> HttpError {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<reqwest::Error>());
    let Some(dialed) = source.map(|source| DialError::from_reqwest(host, source)) else { return error };
    match dialed {
        DialError::Forbidden { .. } | DialError::NotHttps { .. } | DialError::Tls { .. } | DialError::Authorities => {
            final_error(dialed)
        }
        DialError::Resolve { .. } | DialError::Connect { .. } => HttpError::new(HttpErrorKind::Connect, dialed),
        DialError::Exchange { .. } | DialError::Local { .. } => HttpError::new(error.kind(), dialed),
    }
}

/// An error that is not retried.
fn final_error(error: DialError) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, error)
}
