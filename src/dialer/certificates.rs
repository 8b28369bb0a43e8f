//! Certificates of authorities.

use std::io;
use std::path::{Path, PathBuf};

use reqwest::Certificate;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::error::DialError;

/// Why the file with additional certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be read.
    #[error("cannot read the certificate authorities in {}", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It does not hold certificates in PEM.
    #[error("{} must hold PEM certificates of certificate authorities", .0.display())]
    Invalid(PathBuf),
}

/// Certificates of authorities: as PEM, and parsed.
#[derive(Clone, Debug, Default)]
pub(super) struct Authorities {
    pub(super) pem: Vec<u8>,
    pub(super) certificates: Vec<Certificate>,
}

impl Authorities {
    /// Reads a file. A file without certificates is an error.
    pub(super) fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        let pem = std::fs::read(path).map_err(|cause| AuthoritiesError::Unreadable(path.to_owned(), cause))?;
        Self::parse(pem).map_err(|_| AuthoritiesError::Invalid(path.to_owned()))
    }

    /// Parses PEM. Text without certificates is an error, and so is what cannot be the certificate of an authority.
    pub(super) fn parse(pem: Vec<u8>) -> Result<Self, DialError> {
        let (mut store, mut certificates) = (RootCertStore::empty(), Vec::new());
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|_| DialError::Authorities)?;
            certificates.push(Certificate::from_der(&certificate).map_err(|_| DialError::Authorities)?);
            store.add(certificate).map_err(|_| DialError::Authorities)?;
        }
        if certificates.is_empty() { Err(DialError::Authorities) } else { Ok(Self { pem, certificates }) }
    }
}
