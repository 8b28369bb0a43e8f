//! The transport: middleware, services, health and reflection behind the API listener; health and metrics behind the
//! admin listener.

use std::any::Any;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use http::header;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic_reflection::server::Error as ReflectionError;
use tower::{ServiceBuilder, ServiceExt as _};
use tower_http::catch_panic::CatchPanicLayer;

use super::connections::ConnectionLimits;
use super::error::StartError;
use super::listener::{self, Options};
use super::metrics::Gauges;
use super::startup::identity::Callers;
use super::tls::Tls;
use super::traces::trace;
use crate::app::App;
use crate::config::{ApiConfig, LimitsConfig};
use crate::grpc::health::Health;
use crate::grpc::methods::Route;
use crate::grpc::middleware::{
    Admission, Authenticator, RejectionLog, access_log, authenticate, authorize, count_call, discard_on_drop, drain,
    health_check,
};
use crate::grpc::proto::audit_service_server::AuditServiceServer;
use crate::grpc::proto::connection_service_server::ConnectionServiceServer;
use crate::grpc::proto::export_service_server::ExportServiceServer;
use crate::grpc::proto::identity_service_server::IdentityServiceServer;
use crate::grpc::services::{AuditApi, ConnectionApi, ExportApi, IdentityApi};
use crate::grpc::{caller_context, proto, status};
use crate::identity::ClientTable;
use crate::model::{Error, limits};
use crate::telemetry::Metrics;

/// Maximum size of a message of reflection in bytes.
const MAX_REFLECTION_BYTES: usize = 64 * 1024;
/// Maximum size of a response message in bytes.
pub const MAX_ENCODED_BYTES: usize = 16 * 1024 * 1024;

/// The time between two looks at the files of certificates and clients.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Connections to the admin listener: probes and scrapes.
const ADMIN_CONNECTIONS: ConnectionLimits = ConnectionLimits { total: 200, per_address: 100 };
/// Maximum age of a connection to the admin listener.
const MAX_ADMIN_CONNECTION_AGE: Duration = Duration::from_mins(30);

/// The API, ready to listen.
pub struct Api {
    options: Options,
    router: Router,
    clients: Option<Arc<ClientTable>>,
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
    let router = router.layer(from_fn(handle_admin));
    let options = Options {
        name: "admin",
        tls: None,
        http1: true,
        limits: ADMIN_CONNECTIONS,
        needs_caller: false,
        max_age: MAX_ADMIN_CONNECTION_AGE,
    };
    listener::serve(listener, options, router, CancellationToken::new()).await;
}

/// Binds a listener. `[::]` accepts IPv4 too; on a host whose kernel has no IPv6, `0.0.0.0` is bound instead.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&error) => {
            tracing::info!(%address, "this host has no IPv6; listening on IPv4 only");
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|error| StartError::Listen(address, error))
}

/// Whether sockets of IPv6 are not supported: EAFNOSUPPORT, or EADDRNOTAVAIL for the unspecified address.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(97 | 99))
}

/// The services wrapped by the middleware.
pub fn api(
    (config, limits): (&ApiConfig, &LimitsConfig),
    app: &App,
    callers: Callers,
    admission: Arc<Admission>,
    health: &Health,
    traces: bool,
) -> Result<Api, StartError> {
    let mtls = config.exposure.issued().and_then(|identity| identity.mtls.as_ref());
    let client_ca = mtls.map(|mtls| mtls.client_ca.as_path());
    let tls = config.exposure.tls().map(|files| Tls::open(files, client_ca)).transpose();
    let tls = tls.map_err(StartError::Transport)?.map(Arc::new);
    let clients = callers.clients.clone();
    let authenticator = Authenticator {
        app: app.clone(),
        tokens: callers.tokens,
        clients: callers.clients,
        public_reflection: config.exposure.is_development(),
        rejections: RejectionLog::default(),
    };
    let middleware = Middleware { app: app.clone(), authenticator, admission, traces };
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::new(middleware), handle))
        .layer(CatchPanicLayer::custom(panicked));
    let router = routes(app, health, config.reflection).layer(layers);
    let connections =
        ConnectionLimits { total: limits.connections as usize, per_address: limits.connections_per_address as usize };
    let options = Options {
        name: "api",
        tls,
        http1: false,
        limits: connections,
        needs_caller: true,
        max_age: limits.connection_age,
    };
    Ok(Api { options, router, clients })
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
    let counted = |request| count_call(request, drained);
    let request = request.map(discard_on_drop);
    if *traces { trace(request, counted).await } else { counted(request).await }
}

/// Handles a call of the admin listener, whose health checks have the limits of those of the API.
async fn handle_admin(request: Request, next: Next) -> Response {
    let limited = async |request: Request| match Route::of(request.uri().path()) {
        Route::Health => health_check(request, |request| next.run(request)).await,
        Route::Method(_) | Route::Reflection | Route::Unknown => next.run(request).await,
    };
    count_call(request, limited).await
}

fn routes(app: &App, health: &Health, reflection: bool) -> Router {
    let connections = ConnectionServiceServer::new(ConnectionApi(app.clone()))
        .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let exports = ExportServiceServer::new(ExportApi(app.clone()))
        .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let audit = AuditServiceServer::new(AuditApi(app.clone()))
        .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let identity = IdentityServiceServer::new(IdentityApi(app.clone()))
        .max_decoding_message_size(limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_ENCODED_BYTES)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let mut router = Routes::new(InterceptedService::new(connections, caller_context))
        .add_service(InterceptedService::new(exports, caller_context))
        .add_service(InterceptedService::new(audit, caller_context))
        .add_service(InterceptedService::new(identity, caller_context))
        .add_service(health.service())
        .into_axum_router();
    if reflection {
        for service in ["v1", "v1alpha"] {
            router = router.route(&format!("/grpc.reflection.{service}.ServerReflection/{{*method}}"), any(reflect));
        }
    }
    router
}

/// Answers a call of reflection. All descriptors are decoded at the first one.
async fn reflect(request: Request) -> Response {
    static ROUTER: LazyLock<Result<Router, ReflectionError>> = LazyLock::new(reflection);
    match &*ROUTER {
        Ok(router) => router.clone().oneshot(request).await.into_response(),
        Err(error) => Status::from(Error::internal(error)).into_http(),
    }
}

fn reflection() -> Result<Router, ReflectionError> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Without the types of the error details, clients show them as bytes.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder().build_v1()?.max_decoding_message_size(MAX_REFLECTION_BYTES);
    let v1alpha = builder().build_v1alpha()?.max_decoding_message_size(MAX_REFLECTION_BYTES);
    Ok(Routes::new(v1).add_service(v1alpha).into_axum_router())
}

impl Api {
    /// Serves until `stop` is cancelled and the last call has ended.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let renewing = follow_files(self.options.tls.clone(), self.clients);
        tokio::select! {
            () = listener::serve(listener, self.options, self.router, stop) => {}
            () = renewing => {}
        }
    }
}

/// Reads certificates and the table of clients again from time to time. Does not return.
async fn follow_files(tls: Option<Arc<Tls>>, clients: Option<Arc<ClientTable>>) {
    for file in ["certificate", "clients"] {
        metrics::counter!("file.reload.failed", "file" => file).increment(0);
    }
    loop {
        tokio::time::sleep(FILE_CHECK_INTERVAL).await;
        let (tls, clients) = (tls.clone(), clients.clone());
        let reload = move || {
            tls.inspect(|tls| tls.reload());
            clients.inspect(|clients| clients.reload());
        };
        // A panic is logged by the hook.
        let _ = tokio::task::spawn_blocking(reload).await;
    }
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
