//! The transport: the gate, the services, health and reflection, over HTTP/2 with or without TLS.

use std::any::Any;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tower::{Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;

use super::{StartError, connections};
use crate::app::App;
use crate::config::{IdentityMode, Settings};
use crate::grpc::health::Health;
use crate::grpc::proto::audit_service_server::AuditServiceServer;
use crate::grpc::proto::connection_service_server::ConnectionServiceServer;
use crate::grpc::proto::export_service_server::ExportServiceServer;
use crate::grpc::{AuditApi, ConnectionApi, ExportApi, GateLayer, Gatekeeper, caller_interceptor, proto, status};
use crate::identity::Verifier;

/// Bytes of a message that comes in.
pub const DECODE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a message that goes out.
pub const ENCODE_BYTES: usize = 16 * 1024 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The API, ready to listen.
pub struct Api {
    tls: Option<TlsAcceptor>,
    routes: Routes,
    gate: GateLayer,
}

/// The admin listener: health for probes, in plaintext. It opens before anything else, and answers until it is aborted:
/// a server that drains still says that it is not ready.
pub async fn open_admin(address: SocketAddr) -> Result<(Health, JoinHandle<()>), StartError> {
    let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))?;
    let health = Health::start().await;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "answering probes");
    }
    let routes = Routes::new(health.service());
    let service = ServiceBuilder::new().map_request(whole).service(routes);
    Ok((health, tokio::spawn(connections::serve(listener, None, service, CancellationToken::new()))))
}

/// The services behind the gate.
pub fn api(
    settings: &Settings,
    app: App,
    verifier: Verifier,
    reflection: bool,
    health: &Health,
) -> Result<Api, StartError> {
    let tls = match (&settings.tls_cert_file, &settings.tls_key_file) {
        (Some(certificate), Some(key)) => Some(tls(certificate, key).map_err(StartError::Transport)?),
        _ => None,
    };
    let connections = ConnectionServiceServer::new(ConnectionApi::new(app.clone()))
        .max_decoding_message_size(DECODE_BYTES)
        .max_encoding_message_size(ENCODE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let exports = ExportServiceServer::new(ExportApi::new(app.clone()))
        .max_decoding_message_size(DECODE_BYTES)
        .max_encoding_message_size(ENCODE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let audit = AuditServiceServer::new(AuditApi::new(app.clone()))
        .max_decoding_message_size(DECODE_BYTES)
        .max_encoding_message_size(ENCODE_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let mut routes = Routes::new(InterceptedService::new(connections, caller_interceptor))
        .add_service(InterceptedService::new(exports, caller_interceptor))
        .add_service(InterceptedService::new(audit, caller_interceptor))
        .add_service(health.service());
    if reflection {
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // Without the details' own types, clients show a refusal's blockers as so many bytes.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes
            .add_service(builder().build_v1().map_err(|error| StartError::Transport(error.into()))?)
            .add_service(builder().build_v1alpha().map_err(|error| StartError::Transport(error.into()))?);
    }
    let gate = GateLayer::new(Gatekeeper::new(app, verifier, settings.identity_mode() == IdentityMode::Development));
    Ok(Api { tls, routes, gate })
}

impl Api {
    /// Serves until it is stopped and the last call has ended.
    pub fn serve(self, listener: TcpListener, stop: CancellationToken) -> impl Future<Output = ()> + Send {
        let Self { tls, routes, gate } = self;
        connections::serve(listener, tls, service(routes, gate), stop)
    }
}

fn service(
    routes: Routes,
    gate: GateLayer,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    ServiceBuilder::new()
        .map_request(whole)
        .layer(gate)
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(CatchPanicLayer::custom(panicked))
        .service(routes)
}

fn whole(request: Request<Incoming>) -> Request<Body> {
    request.map(Body::new)
}

/// TLS from a certificate chain and its key, for HTTP/2 alone.
fn tls(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Failure> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A handler panicked: its words are for the log, the caller learns an id.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref().cloned());
    tracing::error!(panic = words.unwrap_or_default(), "a handler panicked");
    status::panicked().into_http()
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_internal_and_keeps_its_words_to_itself() {
        let panics = service_fn(async |_: Request<Body>| -> Result<Response<Body>, Infallible> { panic!("a secret") });
        let service = ServiceBuilder::new().layer(CatchPanicLayer::custom(panicked)).service(panics);
        let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().starts_with("internal error "), "{}", status.message());
        let details = status.details();
        assert!(!details.is_empty() && !details.windows(8).any(|window| window == b"a secret"));
    }
}
