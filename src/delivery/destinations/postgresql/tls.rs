//! TLS to PostgreSQL: the request for it, and the verification that `sslmode` asks for.
//!
//! sqlx could do this, but it trusts the public authorities in addition to the configured ones, and it reads certificates
//! and keys from the environment of the process.

use std::sync::Arc;

use rustls_platform_verifier::Verifier as PlatformVerifier;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::failure::{of_io, tls_failed};
use super::target::{Credential, SslMode};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// The message that asks for TLS: its length and a code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Verifies certificates as a mode of libpq does.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Verifies the chain and the name; `None` accepts every certificate.
    chain: Option<Arc<dyn ServerCertVerifier>>,
    /// Whether the name has to match.
    checks_name: bool,
}

/// Prepares the configuration of a connection. Without `sslrootcert` the public authorities are trusted, and those that
/// the operator configured. Fails if a certificate or key cannot be read, or if the mode and the
/// certificates do not fit together.
pub(super) fn configuration(
    mode: SslMode,
    credential: &Credential,
    operator_authorities: &[u8],
) -> Result<ClientConfig, DeliveryError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = credential.root_certificate.as_ref().map(|pem| root_store(pem.expose())).transpose()?;
    let chain: Option<Arc<dyn ServerCertVerifier>> = match (mode, roots) {
        (_, Some(roots)) => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| tls_failed("sslrootcert", &error))?,
        ),
        (SslMode::VerifyFull, None) => {
            let operator = certificates(operator_authorities, "the operator's authorities")?;
            let verifier = PlatformVerifier::new_with_extra_roots(operator, Arc::clone(&provider));
            Some(Arc::new(verifier.map_err(|error| tls_failed("the public authorities", &error))?))
        }
        (SslMode::VerifyCa, None) => {
            // Anyone can get a certificate of a public authority for another name; libpq refuses this as well.
            let detail = "sslmode verify-ca needs sslrootcert; without it use verify-full";
            return Err(DeliveryError::new(FailureCode::TlsFailed, detail));
        }
        (SslMode::Require, None) => None,
    };
    let verifier = Verifier { provider: Arc::clone(&provider), chain, checks_name: mode == SslMode::VerifyFull };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_failed("the protocol versions", &error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((certificate, key)) = &credential.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let certificates = certificates(certificate.expose().as_bytes(), "sslcert")?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| unreadable("sslkey"))?;
    builder.with_client_auth_cert(certificates, key).map_err(|_| unreadable("the pair of sslcert and sslkey"))
}

fn unreadable(what: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::CredentialRequired, format!("{what} cannot be read"))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, DeliveryError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| unreadable(what))
}

fn root_store(pem: &str) -> Result<RootCertStore, DeliveryError> {
    let what = "sslrootcert";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem.as_bytes(), what)? {
        roots.add(certificate).map_err(|_| unreadable(what))?;
    }
    if roots.is_empty() { Err(unreadable(what)) } else { Ok(roots) }
}

/// Asks the server for TLS and establishes it.
pub(super) async fn establish(
    mut stream: TcpStream,
    host: &str,
    configuration: ClientConfig,
) -> Result<TlsStream<TcpStream>, DeliveryError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| tls_failed("the host name", &error))?;
    let failed = |error| of_io("the request for TLS", &error);
    stream.write_all(&SSL_REQUEST).await.map_err(failed)?;
    // Only one byte is read: whatever follows it belongs to TLS (CVE-2021-23222).
    match stream.read_u8().await.map_err(failed)? {
        b'S' => {}
        b'N' => return Err(DeliveryError::new(FailureCode::TlsFailed, "the server does not support TLS")),
        _ => return Err(DeliveryError::new(FailureCode::DestinationRefused, "the server is not PostgreSQL")),
    }
    let connected = TlsConnector::from(Arc::new(configuration)).connect(name, stream).await;
    connected.map_err(|error| of_io("TLS", &error))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked after the chain.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
