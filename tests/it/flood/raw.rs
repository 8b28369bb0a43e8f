//! HTTP/2 connections that send and read as an attacker likes, from an address of their own.

use std::convert::Infallible;
use std::net::SocketAddr;

use futures_util::{StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use tonic::body::Body;

/// The address from which attacks come.
const ADDRESS: &str = "127.0.0.2:0";

/// A connection of an attacker.
#[derive(Clone)]
pub struct Raw {
    sender: http2::SendRequest<Body>,
    server: SocketAddr,
    /// The header `grpc-timeout` of calls.
    pub timeout: &'static str,
}

/// Opens a TCP connection.
pub async fn tcp(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(ADDRESS.parse().expect("an address"))?;
    socket.connect(server).await
}

impl Raw {
    /// Opens a connection whose streams accept this many bytes before they are read.
    pub async fn open(server: SocketAddr, window: u32) -> Option<Self> {
        let stream = tcp(server).await.ok()?;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(window);
        let (sender, connection) = http.handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Self { sender, server, timeout: "1M" })
    }

    /// Sends a request, and waits for the headers of its response.
    pub async fn call(
        &mut self,
        path: &str,
        token: Option<&str>,
        encoding: &str,
        body: Body,
    ) -> Result<http::Response<Incoming>, hyper::Error> {
        let mut request = http::Request::post(format!("http://{}{path}", self.server))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-encoding", encoding)
            .header("grpc-timeout", self.timeout);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.sender.ready().await?;
        self.sender.send_request(request.body(body).expect("a request")).await
    }
}

/// A message with its prefix.
pub fn framed(compressed: bool, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a length");
    [&[u8::from(compressed)], &length.to_be_bytes()[..], message].concat().into()
}

/// A body that sends these bytes and ends.
pub fn complete(bytes: Bytes) -> Body {
    Body::new(http_body_util::Full::new(bytes))
}

/// A body that sends a message byte by byte.
pub fn bytewise(length: u32) -> Body {
    let prefix = [&[0], &length.to_be_bytes()[..]].concat();
    let bytes = stream::repeat(Bytes::from_static(b"\0")).take(length as usize);
    let frames = stream::iter([prefix.into()]).chain(bytes);
    Body::new(StreamBody::new(frames.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)))))
}

/// A body that sends these bytes and does not end.
pub fn unfinished(bytes: Bytes) -> Body {
    let sent = stream::iter([Ok::<_, Infallible>(Frame::data(bytes))]);
    Body::new(StreamBody::new(sent.chain(stream::pending())))
}
