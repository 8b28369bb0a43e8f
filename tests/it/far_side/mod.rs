//! The far sides of connections: servers that read the whole secret, record what they received, and refuse it with an answer
//! that contains what was sent.

mod connections;
mod https;
mod postgres;
mod ssh;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::destinations::certificates::Authority;

pub use connections::{FarConnection, Secrets, to_struct};

/// What servers received, after decryption.
#[derive(Clone, Default)]
pub struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn add(&self, bytes: &[u8]) {
        let mut all = self.0.lock();
        all.extend_from_slice(bytes);
        all.push(b'\n');
    }

    /// Whether it contains a text.
    pub fn contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock()).contains(text)
    }

    /// Returns it and forgets it.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Serves connections on a free port, which it returns, each in a task of its own.
async fn listen<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// A server for each protocol, with certificates of one authority.
pub struct FarSide {
    /// The port of the HTTPS server that speaks HTTP/1.1.
    pub http1: u16,
    /// The port of the HTTPS server that speaks HTTP/2.
    pub http2: u16,
    /// The port of the SSH server.
    pub ssh: u16,
    /// The fingerprint of its host key.
    pub host_key: String,
    /// The port of the PostgreSQL server.
    pub postgres: u16,
    /// What all of them received.
    pub received: Received,
}

/// An authority whose certificate is in a file, for `outbound_ca_file`.
pub struct TrustedAuthority {
    authority: Authority,
    directory: tempfile::TempDir,
}

impl TrustedAuthority {
    /// A new authority.
    pub fn new() -> Self {
        let (authority, directory) = (Authority::new("far sides"), tempfile::tempdir().expect("a directory"));
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).expect("written");
        Self { authority, directory }
    }

    /// The file of its certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate and key in PEM, for a client.
    pub fn client(&self) -> (String, String) {
        let identity = self.authority.issue("outflow");
        (identity.certificate, identity.key)
    }

    fn server_config(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let identity = self.authority.issue("127.0.0.1");
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate], key).expect("a key pair");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

impl FarSide {
    /// Starts the servers, which run as long as the test.
    pub async fn start(authority: &TrustedAuthority) -> Self {
        let received = Received::default();
        let http1 = https::serve(authority.server_config(&[b"http/1.1"]), received.clone()).await;
        let http2 = https::serve(authority.server_config(&[b"h2"]), received.clone()).await;
        let (ssh, host_key) = ssh::serve(received.clone()).await;
        let postgres = postgres::serve(authority.server_config(&[]), received.clone()).await;
        Self { http1, http2, ssh, host_key, postgres, received }
    }
}
