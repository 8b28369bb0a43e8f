//! An HTTPS server that issues tokens and denies everything else.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{Received, listen};

/// Serves on a free port, which it returns.
pub async fn serve(config: Arc<ServerConfig>, received: Received) -> u16 {
    let acceptor = TlsAcceptor::from(config);
    listen(move |stream| {
        let (acceptor, received) = (acceptor.clone(), received.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |request| answer(request, received.clone()));
            // Connections that the client cuts are part of the tests.
            let stream = TokioIo::new(stream);
            if is_http2 {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(stream, service).await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            }
        }
    })
    .await
}

async fn answer(request: Request<Incoming>, received: Received) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut text = format!("{} {}\n", head.method, head.uri).into_bytes();
    for (name, value) in &head.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    text.extend_from_slice(&body);
    received.add(&text);
    let response = if head.uri.path().ends_with("/oauth2/v2.0/token") {
        // The token contains the client secret, so that tokens are searched for as well.
        let form = String::from_utf8_lossy(&body);
        let secret = form.split('&').find_map(|pair| pair.strip_prefix("client_secret=")).unwrap_or_default();
        let token = serde_json::json!({ "token_type": "Bearer", "expires_in": 3_599, "access_token": secret });
        Response::builder().status(200).header("content-type", "application/json").body(token.to_string().into())
    } else {
        Response::builder().status(403).header("x-text", "of the far side").body(text.into())
    };
    Ok(response.expect("a response"))
}
