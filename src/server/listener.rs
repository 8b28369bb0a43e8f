//! Listeners: a bounded number of connections, each served until it ends, is idle or too old, or the server stops.
//!
//! Uses hyper directly instead of tonic's server, which adds a timer of its own to every call (it returns CANCELLED
//! instead of DEADLINE_EXCEEDED) and cannot close a connection that does not end after a graceful shutdown.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use super::connections::{ConnectionLimits, OpenConnections};
use super::error::BoxError;
use super::output::Output;
use super::tls::Tls;
use crate::grpc::middleware::ConnectionCalls;
use crate::identity::ClientCertificate;

/// Maximum number of concurrent calls of a connection, which keeps the memory of the most that it ever had.
pub const MAX_STREAMS_PER_CONNECTION: u32 = 128;
/// Maximum size of the headers of a call in bytes.
pub const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// How much of a response HTTP/2 takes before it is sent, and keeps if the client does not read: two of the longest frames.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// The interval of HTTP/2 keep-alive pings.
const KEEPALIVE_INTERVAL: Duration = Duration::from_mins(1);
/// Maximum wait for the response to a ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client has for the TLS handshake, and then for the first bytes of HTTP.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The first bytes of an HTTP/2 client (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a connection may have no call before its first authenticated call.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may have no call after that.
const AUTHENTICATED_IDLE_TIMEOUT: Duration = Duration::from_mins(15);
/// How long calls have to finish on a connection that has reached its maximum age.
const AGE_GRACE: Duration = Duration::from_mins(5);
/// How long a client has to close a connection on which no caller was authenticated.
const IDLE_GRACE: Duration = Duration::from_secs(10);
/// How many bytes of a call, and of all calls of a connection, can arrive before they are read. Each frame takes memory of
/// its own, and frames may be as small as a byte. Calls that wait for memory are not read, so the window of a connection is
/// that of several calls.
const RECEIVE_WINDOWS: (u32, u32) = (32 * 1024, 256 * 1024);
/// The pause after a failed accept, for example while no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// `accept` fails with these if the socket itself is unusable: EBADF, EINVAL (not listening), ENOTSOCK.
const FATAL_ACCEPT_ERRORS: [i32; 3] = [9, 22, 88];

/// What a listener serves, and to how many.
#[derive(Clone)]
pub struct Options {
    /// The name in logs and metrics.
    pub name: &'static str,
    /// TLS, or plaintext.
    pub tls: Option<Arc<Tls>>,
    /// Whether HTTP/1.1 is served in addition to HTTP/2.
    pub http1: bool,
    /// How many connections there can be.
    pub limits: ConnectionLimits,
    /// Whether a connection is in use only if a caller was authenticated on it.
    pub needs_caller: bool,
    /// Age at which a connection is closed, changed by up to 20 % at random.
    pub max_age: Duration,
}

/// Serves the connections of a listener until `stop` is cancelled and the last connection has ended. Returns earlier
/// only if the socket is unusable.
///
/// On `stop`, every connection gets a GOAWAY. Dropping the future closes the remaining connections.
pub async fn serve(listener: TcpListener, options: Options, router: Router, stop: CancellationToken) {
    let admitted = OpenConnections::new(options.name, options.limits);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                // A connection that is not admitted is closed at once.
                let Some(permit) = admitted.admit(address.ip()) else { continue };
                let (options, router, stop) = (options.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    if let Err(error) = serve_connection(stream, options, router, stop).await {
                        tracing::debug!(%error, "client connection failed");
                    }
                    drop(permit);
                });
            }
            Err(error) if error.raw_os_error().is_some_and(|code| FATAL_ACCEPT_ERRORS.contains(&code)) => {
                tracing::error!(%error, "the listening socket is unusable");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(
    stream: TcpStream,
    options: Options,
    router: Router,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to disable Nagle's algorithm");
    }
    match &options.tls {
        None => serve_http(stream, &options, router, stop).await,
        Some(tls) => {
            let stream = with_handshake_timeout(tls.acceptor().accept(stream), &stop).await?;
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let router = match certificate.map(|der| ClientCertificate::parse(der)) {
                None => router,
                Some(certificate) => router.layer(Extension(certificate.map(Arc::new))),
            };
            serve_http(stream, &options, router, stop).await
        }
    }
}

async fn serve_http<I>(stream: I, options: &Options, router: Router, stop: CancellationToken) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let mut read = read;
    let preface = with_handshake_timeout(read_preface(&mut read), &stop).await?;
    let is_http2 = preface == PREFACE;
    // hyper reads the first bytes again.
    let read = io::Cursor::new(preface).chain(read);
    if is_http2 {
        serve_http2(read, write, options, router, stop).await
    } else if options.http1 {
        serve_http1(tokio::io::join(read, write), router, stop).await
    } else {
        Err("the client does not use HTTP/2".into())
    }
}

/// Reads the preface of an HTTP/2 client, or the first bytes of another one. A client that sends nothing, or not enough,
/// has no call to finish, so it neither keeps its connection nor delays a shutdown.
async fn read_preface(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let mut rest = (&mut *stream).take((PREFACE.len() - read.len()) as u64);
        if rest.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(read)
}

/// Limits how long a client may take for its handshake, and ends the wait on shutdown.
async fn with_handshake_timeout<T>(
    handshake: impl Future<Output = io::Result<T>>,
    stop: &CancellationToken,
) -> Result<T, BoxError> {
    tokio::select! {
        () = stop.cancelled() => Err("the server is shutting down".into()),
        done = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake) => Ok(done??),
    }
}

pub(super) async fn serve_http2(
    read: impl AsyncRead + Unpin + Send + 'static,
    write: impl AsyncWrite + Unpin + Send + 'static,
    options: &Options,
    router: Router,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .initial_stream_window_size(RECEIVE_WINDOWS.0)
        .initial_connection_window_size(RECEIVE_WINDOWS.1)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    let calls = ConnectionCalls::new(options.needs_caller);
    let router = Extension(calls.clone()).layer(router);
    let output = Output::new(write);
    let stream = TokioIo::new(tokio::io::join(read, output.clone()));
    let mut connection = pin!(http.serve_connection(stream, TowerToHyperService::new(router)));
    let serving = async {
        let max_age = options.max_age.mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let grace = tokio::select! {
            ended = output.serve(connection.as_mut()) => return ended,
            // The end of the process has a timeout of its own.
            () = stop.cancelled() => Duration::MAX,
            () = tokio::time::sleep(max_age) => AGE_GRACE,
            is_authenticated = idle(&calls) => if is_authenticated { AGE_GRACE } else { IDLE_GRACE },
            grace = calls.wait_until_unread() => grace,
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = tokio::time::timeout(grace, output.serve(connection)) => ended?,
            () = calls.wait_until_only_unread() => Ok(()),
        }
    };
    tokio::select! {
        ended = serving => ended,
        never = calls.expire_responses() => match never {},
    }
}

/// Waits until a connection has had no call for too long. Returns whether a caller was authenticated on it.
async fn idle(calls: &ConnectionCalls) -> bool {
    loop {
        let (idle, is_authenticated) = calls.idle();
        let timeout = if is_authenticated { AUTHENTICATED_IDLE_TIMEOUT } else { IDLE_TIMEOUT };
        let Some(rest) = timeout.checked_sub(idle).filter(|rest| !rest.is_zero()) else {
            return is_authenticated;
        };
        tokio::time::sleep(rest).await;
    }
}

async fn serve_http1<I>(stream: I, router: Router, stop: CancellationToken) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    Ok(serving.await?)
}
