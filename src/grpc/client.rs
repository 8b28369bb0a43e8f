//! A client of the API: watches runs for the binary.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use tokio_rustls::rustls;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Request, Status, Streaming};

use super::proto as pb;
use super::proto::export_service_client::ExportServiceClient;
use crate::model::Secret;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an idle connection is checked, and how long the server has to respond.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why a client cannot connect.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not a URL.
    #[error("not a URL")]
    Url,
    /// The server did not present a certificate that is trusted.
    #[error("{0}")]
    Certificate(String),
    /// There is no connection.
    #[error("{0}")]
    Unreachable(String),
}

/// A client that watches runs. Its connection is opened again when it was lost.
pub struct RunClient(ExportServiceClient<Channel>);

impl RunClient {
    /// Connects to a server. An `https` endpoint must present a certificate of these authorities (PEM), or of those that the
    /// system trusts if they are absent.
    pub async fn connect(endpoint: &str, authorities: Option<&[u8]>) -> Result<Self, ClientError> {
        let parsed = tonic::transport::Endpoint::from_shared(endpoint.to_owned());
        let mut endpoint = parsed.map_err(|_| ClientError::Url)?;
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = ClientTlsConfig::new();
            let tls = match authorities {
                Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                None => tls.with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| failure(&error))?;
        }
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).http2_keep_alive_interval(KEEP_ALIVE);
        let channel = endpoint.keep_alive_timeout(KEEP_ALIVE).connect().await.map_err(|error| failure(&error))?;
        Ok(Self(ExportServiceClient::new(channel)))
    }

    /// Opens the stream of a run. A token that cannot be sent fails with UNAUTHENTICATED.
    pub async fn watch(&mut self, name: &str, token: &Secret) -> Result<Streaming<pb::WatchExportRunResponse>, Status> {
        let mut request = Request::new(pb::WatchExportRunRequest { name: name.to_owned() });
        let bearer = MetadataValue::<Ascii>::try_from(format!("Bearer {}", token.expose()));
        let mut bearer =
            bearer.map_err(|_| Status::unauthenticated("the token contains a line break or is not ASCII"))?;
        bearer.set_sensitive(true);
        request.metadata_mut().insert("authorization", bearer);
        Ok(self.0.watch_export_run(request).await?.into_inner())
    }
}

/// The cause at the end of the chain; an error of TLS tells that the certificate was not accepted.
fn failure(error: &tonic::transport::Error) -> ClientError {
    let mut cause: &(dyn StdError + 'static) = error;
    loop {
        // The source of an I/O error is that of the error in it, not that error itself.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let wrapped = wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static));
        match wrapped.or_else(|| cause.source()) {
            Some(next) => cause = next,
            None => break,
        }
    }
    match cause.downcast_ref::<rustls::Error>() {
        Some(error) => ClientError::Certificate(error.to_string()),
        None => ClientError::Unreachable(cause.to_string()),
    }
}
