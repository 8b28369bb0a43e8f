//! TLS of the API. Its certificate and the authorities of clients are read again when their files change, so that they are
//! renewed without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::config::TlsFiles;

/// Maximum size of a file in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The certificate of the API, and the authorities of clients.
pub struct Tls {
    files: TlsFiles,
    client_ca: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    /// The files as they were last read, whether they could be used or not.
    read: Content,
}

#[derive(PartialEq, Eq)]
struct Content {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files. Clients may have certificates of the authorities in `client_ca`.
    pub fn open(files: &TlsFiles, client_ca: Option<&Path>) -> Result<Self, BoxError> {
        let client_ca = client_ca.map(Path::to_owned);
        let read = Content::read(files, client_ca.as_deref())?;
        let acceptor = read.acceptor()?;
        Ok(Self { files: files.clone(), client_ca, state: Mutex::new(State { acceptor, read }) })
    }

    /// Accepts a connection with the present certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.state.lock().acceptor.clone()
    }

    /// Reads the files again. The certificate stays in use if they cannot be used, for example because the key is still to be
    /// written.
    pub fn reload(&self) {
        let read = match Content::read(&self.files, self.client_ca.as_deref()) {
            Ok(read) => read,
            Err(error) => {
                failed_reload().increment(1);
                return tracing::warn!(%error, "cannot read the files of the certificate");
            }
        };
        let mut state = self.state.lock();
        if read == state.read {
            return;
        }
        match read.acceptor() {
            Ok(acceptor) => {
                state.acceptor = acceptor;
                tracing::info!("the certificate of the API was renewed");
            }
            Err(error) => {
                failed_reload().increment(1);
                tracing::warn!(%error, "the changed certificate of the API cannot be used; the old one stays");
            }
        }
        state.read = read;
    }
}

fn failed_reload() -> metrics::Counter {
    metrics::counter!("file.reload.failed", "file" => "certificate")
}

impl Content {
    fn read(files: &TlsFiles, client_ca: Option<&Path>) -> Result<Self, BoxError> {
        Ok(Self {
            chain: read_limited(&files.certificate)?,
            key: Zeroizing::new(read_limited(&files.key)?),
            client_ca: client_ca.map(read_limited).transpose()?,
        })
    }

    /// TLS for HTTP/2 alone.
    fn acceptor(&self) -> Result<TlsAcceptor, BoxError> {
        let chain = CertificateDer::pem_slice_iter(&self.chain).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)?;
        let builder = match &self.client_ca {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in CertificateDer::pem_slice_iter(authorities) {
                    roots.add(authority?)?;
                }
                // A caller without a certificate gets a status, as one without a token does.
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?;
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn read_limited(path: &Path) -> Result<Vec<u8>, BoxError> {
    use std::io::Read as _;
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{} has more than 1 MiB", path.display()).into());
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(files: &TlsFiles, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) {
        fs::write(&files.certificate, certificate.cert.pem()).unwrap();
        fs::write(&files.key, certificate.signing_key.serialize_pem()).unwrap();
    }

    fn is_same(one: &TlsAcceptor, other: &TlsAcceptor) -> bool {
        Arc::ptr_eq(one.config(), other.config())
    }

    #[test]
    fn a_changed_certificate_is_used_once_its_key_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: directory.path().join("crt"), key: directory.path().join("key") };
        let certificate = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        write(&files, &certificate());
        let tls = Tls::open(&files, None).unwrap();
        let first = tls.acceptor();
        tls.reload();
        assert!(is_same(&tls.acceptor(), &first), "nothing changed");

        let renewed = certificate();
        fs::write(&files.certificate, renewed.cert.pem()).unwrap();
        tls.reload();
        assert!(is_same(&tls.acceptor(), &first), "the key is still the old one");
        fs::remove_file(&files.key).unwrap();
        tls.reload();
        assert!(is_same(&tls.acceptor(), &first), "the key is missing");
        write(&files, &renewed);
        tls.reload();
        assert!(!is_same(&tls.acceptor(), &first));
    }
}
