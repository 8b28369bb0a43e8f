//! An HTTPS server that records requests and answers as a test wants.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use super::super::certificates::Authority;

/// A file to which requests are appended, one JSON object a line, for tests/clients/webhooks.py.
const CAPTURE: &str = "WEBHOOK_CAPTURE_FILE";

/// A request.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    /// The body after decompression.
    pub body: Bytes,
    /// The status that it was answered with.
    pub status: u16,
}

/// A status and headers.
pub type Answer = (u16, Vec<(&'static str, String)>);

/// The server. It answers 204 unless a test queued answers, or set one for all further requests.
pub struct Receiver {
    pub address: SocketAddr,
    /// Certificate of its authority, in PEM.
    pub authority: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    requests: Vec<Received>,
    next: VecDeque<Answer>,
    always: Option<Answer>,
    silent: bool,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::start_as("hooks.test").await
    }

    /// Starts a server whose certificate is for this name or address.
    pub async fn start_as(name: &str) -> Self {
        let authority = Authority::new("webhooks");
        let identity = authority.issue(name);
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| answer(request, Arc::clone(&state)));
                    // An error is a connection that a test cut.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, authority: authority.pem(), state }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn requests(&self) -> Vec<Received> {
        self.state.lock().requests.clone()
    }

    /// Answers the next requests so.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().next.extend(answers);
    }

    /// Answers all other requests so.
    pub fn answer_always(&self, answer: Answer) {
        self.state.lock().always = Some(answer);
    }

    /// Records requests and never answers them.
    pub fn stay_silent(&self) {
        self.state.lock().silent = true;
    }
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    assert_eq!(request.method(), "POST");
    let (head, body) = request.into_parts();
    let sent = body.collect().await?.to_bytes();
    let body = match head.headers.get("content-encoding").map(http::HeaderValue::as_bytes) {
        None => sent,
        Some(b"gzip") => {
            let mut decoded = Vec::new();
            flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut decoded).expect("gzip");
            decoded.into()
        }
        Some(other) => panic!("{other:?}"),
    };
    let (silent, (status, headers)) = {
        let mut state = state.lock();
        let always = state.always.clone().unwrap_or((204, Vec::new()));
        let (status, headers) = state.next.pop_front().unwrap_or(always);
        let path = head.uri.to_string();
        let received = Received { path, headers: head.headers, body, status };
        capture(&received);
        state.requests.push(received);
        (state.silent, (status, headers))
    };
    if silent {
        std::future::pending::<Infallible>().await;
    }
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    // A body that must not appear in any error.
    let body = if status == 204 { "" } else { "text of the receiver" };
    Ok(response.body(Full::new(Bytes::from(body))).expect("a response"))
}

fn capture(received: &Received) {
    let Some(path) = std::env::var_os(CAPTURE) else { return };
    let headers: serde_json::Map<_, _> = received
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("webhook-"))
        .map(|(name, value)| (name.to_string(), json!(value.to_str().expect("ASCII"))))
        .collect();
    let line = json!({ "headers": headers, "body": String::from_utf8(received.body.to_vec()).expect("UTF-8") });
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the file");
    file.write_all(format!("{line}\n").as_bytes()).expect("written");
}
