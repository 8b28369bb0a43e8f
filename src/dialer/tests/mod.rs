//! The dialer against real listeners.
//!
//! Servers listen on `127.0.0.2` and the like, which tests permit by address and port.

mod addresses;
mod network;
mod requests;
mod stores;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::model::{OrganizationId, OutboundAllowance};

/// The name in the certificate of [`Server`].
const NAME: &str = "service.test";

fn acme() -> OrganizationId {
    OrganizationId::parse("acme").unwrap()
}

fn settings(allowances: &[String]) -> DialerSettings {
    let parse = |text: &String| OutboundAllowance::parse(text).unwrap_or_else(|| panic!("{text}"));
    DialerSettings { allowances: allowances.iter().map(parse).collect(), authorities: None }
}

/// A resolver that knows these names.
fn resolver<const N: usize>(names: [(&str, &[&str]); N]) -> Resolver {
    let parse = |addresses: &[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
    let names: BTreeMap<String, Vec<IpAddr>> =
        names.into_iter().map(|(name, addresses)| (name.to_owned(), parse(addresses))).collect();
    Resolver::new(move |name| {
        let found = names.get(&name).cloned().ok_or_else(|| io::Error::other("unknown name"));
        async move { found }
    })
}

/// A resolver that gives the addresses of each answer in turn, and the last of them from then on. Counts lookups.
fn rebinding(answers: &[&[&str]]) -> (Resolver, Arc<AtomicUsize>) {
    let answers: Vec<Vec<IpAddr>> =
        answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).collect();
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lookups);
    let resolver = Resolver::new(move |_| {
        let index = counter.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let answer = answers[index].clone();
        async move { Ok(answer) }
    });
    (resolver, lookups)
}

/// The network of `acme` with a resolver, in which some addresses and ports are permitted.
fn network(allowed: &[SocketAddr], resolver: Resolver) -> Network {
    let allowances: Vec<String> =
        allowed.iter().map(|address| format!("acme={}:{}", address.ip(), address.port())).collect();
    Dialer::with_resolver(settings(&allowances), resolver).unwrap().network(&acme())
}

/// A listener to which nothing may connect.
struct Untouched(TcpListener);

impl Untouched {
    async fn bind(address: &str) -> Self {
        Self(TcpListener::bind(address).await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Asserts that nothing has connected: the first connection is the one that this opens.
    async fn assert(self) {
        let address = self.0.local_addr().unwrap();
        let host = if address.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { address.ip() };
        let own = TcpStream::connect((host, address.port())).await.unwrap();
        let (_, peer) = self.0.accept().await.unwrap();
        assert_eq!(peer, own.local_addr().unwrap(), "something connected to {address}");
    }
}

/// What a server received.
struct Received {
    /// The number of the request on all connections, from 0.
    number: usize,
    head: String,
    body: Vec<u8>,
}

/// An HTTP/1.1 server on `127.0.0.2`. It answers with the bytes that a function returns; without bytes it closes the
/// connection.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    certificate: String,
}

impl Server {
    /// Serves https with a certificate for [`NAME`].
    async fn start(answer: impl Fn(Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let generated = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(generated.signing_key.serialize_der()).unwrap();
        let chain = vec![generated.cert.der().clone()];
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        Self::serve(Some(tls), generated.cert.pem(), answer).await
    }

    /// Serves http.
    async fn start_plain(answer: impl Fn(Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(None, String::new(), answer).await
    }

    async fn serve(
        tls: Option<TlsAcceptor>,
        certificate: String,
        answer: impl Fn(Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), connections: Arc::default(), certificate };
        let (connections, answer, number) = (Arc::clone(&server.connections), Arc::new(answer), Arc::default());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, answer, number) = (tls.clone(), Arc::clone(&answer), Arc::clone(&number));
                let serve: BoxFuture<'static, io::Result<()>> = Box::pin(async move {
                    match tls {
                        Some(tls) => serve_connection(tls.accept(stream).await?, &number, answer.as_ref()).await,
                        None => serve_connection(stream, &number, answer.as_ref()).await,
                    }
                });
                tokio::spawn(serve);
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.address.port())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn options(&self) -> HttpOptions {
        HttpOptions { root_certificates: Some(self.certificate.clone().into_bytes()), ..HttpOptions::default() }
    }

    /// The network of `acme`, in which [`NAME`] leads to this server.
    fn network(&self) -> Network {
        network(&[self.address], resolver([(NAME, &["127.0.0.2"])]))
    }
}

async fn serve_connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    number: &AtomicUsize,
    answer: &(dyn Fn(Received) -> Vec<u8> + Send + Sync),
) -> io::Result<()> {
    while let Some((head, body)) = read_request(&mut stream).await? {
        let answer = answer(Received { number: number.fetch_add(1, Ordering::SeqCst), head, body });
        if answer.is_empty() {
            return Ok(());
        }
        stream.write_all(&answer).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Reads a request with a `content-length`; `None`: the connection ended before it.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if !bytes[0].is_ascii_alphabetic() {
            // A TLS handshake: what a server without TLS answers.
            return Ok(Some((String::new(), bytes)));
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn redirect_to(location: &str) -> Vec<u8> {
    format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}
