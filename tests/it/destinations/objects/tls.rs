//! A certificate of the servers of these tests, and a network that trusts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outflow::dialer::{Dialer, DialerSettings, Network};
use outflow::model::{OrganizationId, OutboundAllowance};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A certificate for `127.0.0.1`.
pub struct Tls {
    directory: TempDir,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Generates a certificate and writes it to files.
    pub fn generate() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
        std::fs::write(directory.path().join("tls.crt"), certificate.cert.pem()).expect("written");
        std::fs::write(directory.path().join("tls.key"), certificate.signing_key.serialize_pem()).expect("written");
        let key = PrivateKeyDer::Pkcs8(certificate.signing_key.serialize_der().into());
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.cert.der().clone()], key).expect("a key pair");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { directory, config: Arc::new(config) }
    }

    /// Path of the certificate in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    /// Path of the private key in PEM.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("tls.key")
    }

    /// Accepts connections of HTTP/2.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// A client that trusts the certificate and is not that of the product.
    pub fn client(&self) -> reqwest::Client {
        let pem = std::fs::read(self.certificate()).expect("a certificate");
        let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().expect("a client")
    }

    /// What an organization may reach whose operator permits `127.0.0.1` and trusts the certificate.
    pub fn network(&self) -> Network {
        network(&["*=127.0.0.1"], Some(&self.certificate()))
    }
}

/// What an organization may reach.
pub fn network(allowances: &[&str], authorities: Option<&Path>) -> Network {
    let allowances = allowances.iter().map(|text| OutboundAllowance::parse(text).expect("an allowance")).collect();
    let settings = DialerSettings { allowances, authorities: authorities.map(Path::to_owned) };
    Dialer::new(settings).expect("settings").network(&OrganizationId::parse("acme").expect("an id"))
}
