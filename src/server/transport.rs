//! The transport: HTTP/2 with its limits, TLS, the gate, the services, health and reflection.

use std::any::Any;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use http::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tower::ServiceBuilder;
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

/// Calls at a time on one connection.
const STREAMS_PER_CONNECTION: u32 = 200;
/// Bytes of a message that comes in.
const DECODE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a message that goes out.
const ENCODE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of the headers of a call.
const HEADER_LIST_BYTES: u32 = 16 * 1024;
/// How often a silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_mins(1);
/// How long it has to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The API, ready to listen.
pub struct Api {
    server: Server,
    routes: Routes,
    gate: GateLayer,
}

/// The admin listener: health for probes, in plaintext. It is open before anything else.
pub async fn open_admin(address: SocketAddr, stop: CancellationToken) -> Result<(Health, JoinHandle<()>), StartError> {
    let listener = TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))?;
    let health = Health::start().await;
    let service = health.service();
    let serving = Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
    let admin = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin listener failed");
            stop.cancel();
        }
    });
    Ok((health, admin))
}

/// The services behind the gate.
pub fn api(
    settings: &Settings,
    app: App,
    verifier: Verifier,
    reflection: bool,
    health: &Health,
) -> Result<Api, StartError> {
    let transport = |error: Box<dyn std::error::Error + Send + Sync>| StartError::Transport(error);
    let mut server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_LIST_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT));
    if let (Some(certificate), Some(key)) = (&settings.tls_cert_file, &settings.tls_key_file) {
        let read = |path| std::fs::read(path).map_err(|error| transport(error.into()));
        let identity = Identity::from_pem(read(certificate)?, read(key)?);
        let tls = ServerTlsConfig::new().identity(identity);
        server = server.tls_config(tls).map_err(|error| transport(error.into()))?;
    }
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
            .add_service(builder().build_v1().map_err(|error| transport(error.into()))?)
            .add_service(builder().build_v1alpha().map_err(|error| transport(error.into()))?);
    }
    let gate = GateLayer::new(Gatekeeper::new(app, verifier, settings.identity_mode() == IdentityMode::Development));
    Ok(Api { server, routes, gate })
}

impl Api {
    /// Serves until it is stopped and the last call has ended.
    pub fn serve(self, listener: TcpListener, stop: CancellationToken) -> impl Future<Output = ()> {
        let Self { server, routes, gate } = self;
        let layers = ServiceBuilder::new()
            .layer(gate)
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(CatchPanicLayer::custom(panicked))
            .into_inner();
        async move {
            let incoming = connections::accept(listener);
            let serving = server.layer(layers).add_routes(routes);
            if let Err(error) = serving.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await {
                tracing::error!(%error, "the transport failed");
            }
        }
    }
}

/// A handler panicked: its words are for the log, the caller learns an id.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref().cloned());
    tracing::error!(panic = words.unwrap_or_default(), "a handler panicked");
    status::panicked().into_http()
}
