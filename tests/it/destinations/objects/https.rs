//! An HTTPS server whose responses are written here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::tls::Tls;

/// A response.
pub type Response = http::Response<Bytes>;

/// Listens for as long as the test runs, and returns the address.
pub async fn serve(tls: &Tls, respond: impl Fn(&Parts, Bytes) -> Response + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (acceptor, respond) = (tls.acceptor(), Arc::new(respond));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let (acceptor, respond) = (acceptor.clone(), Arc::clone(&respond));
            tokio::spawn(async move {
                // Connections that end early are part of the tests.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let respond = Arc::clone(&respond);
                    async move {
                        let (parts, body) = request.into_parts();
                        // A request whose body does not arrive is not carried out.
                        let response = match body.collect().await {
                            Ok(body) => respond(&parts, body.to_bytes()),
                            Err(_) => error(400, "IncompleteBody"),
                        };
                        Ok::<_, Infallible>(response.map(Full::new))
                    }
                });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = connection.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// A response with a body.
pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    let builder = http::Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(body.into()).expect("a response")
}

/// An error of a store with an XML API.
pub fn error(status: u16, code: &str) -> Response {
    response(status, &[], format!("<Error><Code>{code}</Code><Message>text of the far side</Message></Error>"))
}
