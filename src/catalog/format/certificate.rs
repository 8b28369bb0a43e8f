//! Certificates and private keys of TLS, in PEM.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use super::text::{Context, Read};
use super::{pem, wrapping};

/// Maximum number of certificates of one field; the bundles of public authorities have about 150.
const MAX_CERTIFICATES: usize = 512;

/// Reads certificates: those of authorities, or the chain of a client, whose private key is the companion.
pub(super) fn read_certificates<'a>(text: &'a str, context: &Context<'_>) -> Read<'a> {
    let text = with_usual_labels(pem::read(text)?);
    check_labels(&text)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text.as_bytes())
        .take(MAX_CERTIFICATES + 1)
        .collect::<Result<_, _>>()
        .map_err(|_| "has a line that is not base64; enter the file as it was issued")?;
    if certificates.len() > MAX_CERTIFICATES {
        return Err("must not have more than 512 certificates".into());
    }
    let ends: Vec<DateTime<Utc>> =
        certificates.iter().enumerate().map(|(index, der)| expiry(index, der)).collect::<Result<_, _>>()?;
    let last = if context.has_companion { ends.first() } else { ends.iter().max() };
    match last {
        Some(end) if *end <= context.now => {
            Err(format!("expired at {}", end.to_rfc3339_opts(SecondsFormat::Secs, true)).into())
        }
        Some(_) => check_pair(certificates, context.companion).map(|()| text).map_err(Cow::Borrowed),
        None => Err("must have at least one certificate".into()),
    }
}

/// Writes the older label X509 CERTIFICATE, which is around the same bytes, in the usual way.
fn with_usual_labels(text: Cow<'_, str>) -> Cow<'_, str> {
    let older = " X509 CERTIFICATE-----";
    if text.contains(older) { Cow::Owned(text.replace(older, " CERTIFICATE-----")) } else { text }
}

fn check_labels(text: &str) -> Result<(), &'static str> {
    if text.contains(" PRIVATE KEY-----") {
        return Err("has a private key in it; enter certificates only");
    }
    if text.contains("-----BEGIN PKCS7-----") {
        return Err("is a PKCS #7 file; convert it with openssl pkcs7 -print_certs -in FILE");
    }
    if text.contains("-----BEGIN TRUSTED CERTIFICATE-----") {
        return Err("is a certificate with trust settings of OpenSSL; convert it with openssl x509 -in FILE -out FILE");
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(
            "must be a certificate in PEM format, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
        );
    }
    Ok(())
}

fn expiry(index: usize, der: &CertificateDer<'_>) -> Result<DateTime<Utc>, Cow<'static, str>> {
    let invalid = || Cow::Owned(format!("has an invalid certificate, the one at position {}", index + 1));
    let (rest, certificate) = parse_x509_certificate(der).map_err(|_| invalid())?;
    let end = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0);
    end.filter(|_| rest.is_empty()).ok_or_else(invalid)
}

/// Checks that a private key belongs to the first certificate. A key that cannot be read has its own violation.
fn check_pair(certificates: Vec<CertificateDer<'static>>, key: Option<&str>) -> Result<(), &'static str> {
    let key = key.and_then(|key| pem::read(wrapping::unwrap(key.trim(), false).ok()?).ok());
    let key = key.and_then(|key| PrivateKeyDer::from_pem_slice(key.as_bytes()).ok());
    let Some(key) = key.and_then(|key| aws_lc_rs::sign::any_supported_type(&key).ok()) else { return Ok(()) };
    match CertifiedKey::new(certificates, key).keys_match() {
        Ok(()) => Ok(()),
        Err(_) => Err("does not belong to the private key; its own certificate must come first"),
    }
}

/// Reads a private key. Whether a password decrypts it is not checked: that takes seconds for some keys.
pub(super) fn private_key<'a>(text: &'a str, context: &Context<'_>) -> Read<'a> {
    let text = pem::read(text)?;
    if text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return Err("is a key for SSH; enter the private key of the certificate, in PKCS #8 format".into());
    }
    if !text.contains(" PRIVATE KEY-----") && !text.contains("-----BEGIN PRIVATE KEY-----") {
        return Err(
            "must be a private key in PEM format, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----".into(),
        );
    }
    if text.contains("ENCRYPTED") {
        return match (context.companion, context.has_companion) {
            (Some(_), _) => Ok(text),
            (None, true) => Err("is encrypted; enter its password too, or a key without one".into()),
            (None, false) => Err("is encrypted, and there is no field for its password; decrypt it with openssl pkey \
                                  -in key.pem -out plain.pem"
                .into()),
        };
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| "has a line that is not base64; enter the file as it was issued")?;
    aws_lc_rs::sign::any_supported_type(&key).map(|_| text).map_err(|_| {
        "must be an RSA key of 2048 to 8192 bits, an ECDSA key of P-256, P-384 or P-521, or an Ed25519 key".into()
    })
}
