//! The transport: middleware, services, health and reflection behind the API listener; health and metrics behind the
//! admin listener.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http::header;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::StartError;
use super::listener::{self, Protocol};
use super::metrics::Gauges;
use super::traces::trace;
use crate::app::App;
use crate::config::{ApiConfig, TlsFiles};
use crate::grpc::health::Health;
use crate::grpc::middleware::{Admission, Authenticator, access_log, authenticate, authorize, drain};
use crate::grpc::proto::audit_service_server::AuditServiceServer;
use crate::grpc::proto::connection_service_server::ConnectionServiceServer;
use crate::grpc::proto::export_service_server::ExportServiceServer;
use crate::grpc::services::{AuditApi, ConnectionApi, ExportApi};
use crate::grpc::{caller_context, proto, status};
use crate::identity::Verifier;
use crate::telemetry::Metrics;

/// Maximum size of a request message in bytes.
pub const MAX_DECODED_BYTES: usize = 4 * 1024 * 1024;
/// Maximum size of a response message in bytes.
pub const MAX_ENCODED_BYTES: usize = 16 * 1024 * 1024;

/// The API, ready to listen.
pub struct Api {
    protocol: Protocol,
    router: Router,
}

/// What the middleware needs.
struct Middleware {
    app: App,
    authenticator: Authenticator,
    admission: Arc<Admission>,
    traces: bool,
}

/// Serves health and metrics in plaintext. It starts first and is aborted last, so that a
/// draining server still reports that it is not ready.
pub async fn serve_admin(
    listener: TcpListener,
    health: Health,
    metrics: Option<Metrics>,
    gauges: Arc<OnceLock<Gauges>>,
) {
    let mut router = Routes::new(health.service()).into_axum_router();
    if let Some(metrics) = metrics {
        let scrape = async move || {
            if let Some(gauges) = gauges.get() {
                gauges.record();
            }
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
        };
        router = router.route("/metrics", get(scrape));
    }
    listener::serve(listener, Protocol { tls: None, http1: true }, router, CancellationToken::new()).await;
}

/// Binds a listener.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
}

/// The services wrapped by the middleware.
pub fn api(
    config: &ApiConfig,
    app: &App,
    verifier: Verifier,
    admission: Arc<Admission>,
    health: &Health,
    traces: bool,
) -> Result<Api, StartError> {
    let tls = config.exposure.tls().map(tls).transpose().map_err(StartError::Transport)?;
    let authenticator =
        Authenticator { app: app.clone(), verifier, public_reflection: config.exposure.is_development() };
    let middleware = Middleware { app: app.clone(), authenticator, admission, traces };
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::new(middleware), handle))
        .layer(CatchPanicLayer::custom(panicked));
    let router = routes(app, health, config.reflection)?.into_axum_router().layer(layers);
    Ok(Api { protocol: Protocol { tls, http1: false }, router })
}

/// Handles a call: passes it through the middleware to the services.
///
/// One layer for all middleware, because each layer would clone all layers below it for every call.
async fn handle(State(middleware): State<Arc<Middleware>>, request: Request, next: Next) -> Response {
    let Middleware { app, authenticator, admission, traces } = &*middleware;
    let authorized = |request| authorize(admission, request, |request| next.run(request));
    let authenticated = |request| authenticate(authenticator, request, authorized);
    let logged = |request| access_log(app, request, authenticated);
    let drained = |request| drain(app, request, logged);
    if *traces { trace(request, drained).await } else { drained(request).await }
}

fn routes(app: &App, health: &Health, reflection: bool) -> Result<Routes, StartError> {
    let connections = ConnectionServiceServer::new(ConnectionApi(app.clone()))
        .max_decoding_message_size(MAX_DECODED_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let exports = ExportServiceServer::new(ExportApi(app.clone()))
        .max_decoding_message_size(MAX_DECODED_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let audit = AuditServiceServer::new(AuditApi(app.clone()))
        .max_decoding_message_size(MAX_DECODED_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let routes = Routes::new(InterceptedService::new(connections, caller_context))
        .add_service(InterceptedService::new(exports, caller_context))
        .add_service(InterceptedService::new(audit, caller_context))
        .add_service(health.service());
    if !reflection {
        return Ok(routes);
    }
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Without the types of the error details, clients show them as bytes.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes
        .add_service(builder().build_v1().map_err(|error| StartError::Transport(error.into()))?)
        .add_service(builder().build_v1alpha().map_err(|error| StartError::Transport(error.into()))?))
}

impl Api {
    /// Serves until `stop` is cancelled and the last call has ended.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        listener::serve(listener, self.protocol, self.router, stop).await;
    }
}

/// TLS from a certificate chain and its key, for HTTP/2 alone.
fn tls(files: &TlsFiles) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The response of a call whose handler panicked: the message of the panic is logged, the caller gets an id.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer requires")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref().cloned());
    tracing::error!(panic = message.unwrap_or_default(), "handler panicked");
    status::panicked().into_http()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tonic::{Code, Status};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_internal_and_its_message_is_not_sent() {
        let router = Router::new().fallback(async || -> Response { panic!("a secret") });
        let router = router.layer(CatchPanicLayer::custom(panicked));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().starts_with("internal error "), "{}", status.message());
        let details = status.details();
        assert!(!details.is_empty() && !details.windows(8).any(|window| window == b"a secret"));
    }
}
