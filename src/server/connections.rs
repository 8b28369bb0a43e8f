//! Connections that come in: a bounded number of them, each served over HTTP/2 until it ends or the server does.
//!
//! hyper is driven here and not by tonic's own server: that one holds every call to a timer of its own, which answers
//! CANCELLED where DEADLINE_EXCEEDED is due, and cannot end a connection that does not end by itself.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;

/// Connections at a time; more wait to be accepted.
pub const CONNECTIONS: usize = 1_000;
/// Calls at a time on one connection.
pub const STREAMS_PER_CONNECTION: u32 = 200;
/// Bytes of the headers of a call.
pub const HEADER_LIST_BYTES: u32 = 16 * 1024;
/// How often a silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_mins(1);
/// How long it has to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client has to agree on TLS, and then to begin with HTTP/2.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The pause after a connection that could not be accepted: out of file handles, for one; let some close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the connections of a listener until it is stopped and the last of them has ended.
///
/// When it is stopped, every connection is told to take no more calls. Dropping the future ends those that are left.
pub async fn serve<S>(listener: TcpListener, tls: Option<TlsAcceptor>, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (tls, service, stop) = (tls.clone(), service.clone(), stop.clone());
                connections.spawn(async move {
                    if let Err(error) = connection(stream, tls, service, stop).await {
                        tracing::debug!(%error, "a connection failed");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection<S>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: S,
    stop: CancellationToken,
) -> Result<(), Failure>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    match tls {
        None => calls(greeted(stream, &stop).await?, service, stop).await,
        Some(tls) => {
            let stream = in_time(tls.accept(stream), &stop).await?;
            calls(greeted(stream, &stop).await?, service, stop).await
        }
    }
}

/// A stream whose client has said that it speaks HTTP/2. Whoever says nothing, or not enough, has no call to end:
/// nobody waits for it long, and a server that stops not at all.
async fn greeted<I>(
    mut stream: I,
    stop: &CancellationToken,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<I>, Failure>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut greeting = [0; PREFACE.len()];
    in_time(stream.read_exact(&mut greeting), stop).await?;
    if greeting != *PREFACE {
        return Err("the client does not speak HTTP/2".into());
    }
    // hyper wants to hear it too.
    let (read, write) = tokio::io::split(stream);
    Ok(tokio::io::join(PREFACE.chain(read), write))
}

/// Waits for a client that is still to begin.
async fn in_time<T>(work: impl Future<Output = io::Result<T>>, stop: &CancellationToken) -> Result<T, Failure> {
    tokio::select! {
        () = stop.cancelled() => Err("the server stops".into()),
        done = tokio::time::timeout(HANDSHAKE_TIMEOUT, work) => Ok(done??),
    }
}

/// Serves the calls of one connection.
async fn calls<I, S>(stream: I, service: S, stop: CancellationToken) -> Result<(), Failure>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .max_header_list_size(HEADER_LIST_BYTES)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = stop.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    Ok(serving.await?)
}
