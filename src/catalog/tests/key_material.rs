//! Keys and certificates for tests.

use std::sync::LazyLock;

use rcgen::{CertificateParams, KeyPair};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, encode_pkcs8_pem, encode_pkcs8_pem_encrypted};
use serde_json::{Value, json};

/// Keys and certificates in the spellings in which people have them.
pub(super) struct Keys {
    pub(super) openssh: String,
    pub(super) openssh_encrypted: String,
    pub(super) pkcs8: String,
    pub(super) pkcs8_encrypted: String,
    pub(super) certificate: String,
    pub(super) certificate_key: String,
    pub(super) expired_certificate: String,
    pub(super) other_certificate: String,
    pub(super) service_account: String,
    pub(super) rds_bundle: String,
}

/// The keys of all tests.
pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let ssh = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let (mut pkcs8, mut encrypted) = (Vec::new(), Vec::new());
    encode_pkcs8_pem(&ssh, &mut pkcs8).unwrap();
    encode_pkcs8_pem_encrypted(&ssh, b"correct horse", 2048, &mut encrypted).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = certificate(&key, 2030);
    Keys {
        openssh: ssh.to_openssh(LineEnding::LF).unwrap().to_string(),
        openssh_encrypted: ssh
            .encrypt(&mut rand::rng(), "correct horse")
            .and_then(|key| key.to_openssh(LineEnding::LF))
            .unwrap()
            .to_string(),
        pkcs8: String::from_utf8(pkcs8).unwrap(),
        pkcs8_encrypted: String::from_utf8(encrypted).unwrap(),
        // A bundle of a region of Amazon RDS has about 160 KB.
        rds_bundle: certificate.repeat(165_000 / certificate.len()),
        expired_certificate: self::certificate(&key, 2026),
        other_certificate: self::certificate(&KeyPair::generate().unwrap(), 2030),
        service_account: service_account(&key.serialize_pem()).to_string(),
        certificate_key: key.serialize_pem(),
        certificate,
    }
});

fn certificate(key: &KeyPair, expires: i32) -> String {
    let mut params = CertificateParams::new(vec!["outflow".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(expires, 1, 1);
    params.self_signed(key).unwrap().pem()
}

pub(super) fn service_account(private_key: &str) -> Value {
    json!({"type": "service_account", "project_id": "acme", "private_key_id": "0f1e", "private_key": private_key,
        "client_email": "outflow@acme.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"})
}
