//! User keys of all types and formats.

use std::time::Instant;

use outflow::delivery::destinations::{CheckStep, Destination as _};
use outflow::model::FailureCode;
use russh::keys::{decode_secret_key, encode_pkcs8_pem, encode_pkcs8_pem_encrypted};
use serde_json::json;

use super::failure;
use super::openssh::OpenSsh;
use crate::support::print_line;

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_type_and_format_log_in() {
    let server = OpenSsh::start();
    let start = Instant::now();
    let mut accepted = 0;
    for (kind, bits, passphrase, format) in [
        ("ed25519", "", "", None),
        ("ed25519", "", "correct horse", None),
        ("ecdsa", "256", "", None),
        ("ecdsa", "384", "correct horse", None),
        ("ecdsa", "521", "", None),
        ("ecdsa", "256", "", Some("PEM")),
        ("ecdsa", "256", "", Some("PKCS8")),
        ("ecdsa", "384", "correct horse", Some("PKCS8")),
        ("rsa", "2048", "", None),
        ("rsa", "3072", "correct horse", None),
        ("rsa", "2048", "", Some("PEM")),
        ("rsa", "2048", "correct horse", Some("PEM")),
        ("rsa", "2048", "", Some("PKCS8")),
        ("rsa", "2048", "correct horse", Some("PKCS8")),
    ] {
        let key = server.user_key(kind, bits, passphrase, format);
        let passphrase = Some(passphrase).filter(|passphrase| !passphrase.is_empty());
        let login = server.login().private_key(&key, passphrase);
        let case = format!("{kind} {bits} {passphrase:?} {format:?}");
        assert_eq!(failure(&login.destination(&json!({})).test().await), None, "{case}");
        accepted += 1;
    }
    for format in [None, Some("PKCS8")] {
        // Keys are often pasted with other line ends, or with a passphrase that they do not need.
        let key = server.user_key("ecdsa", "256", "", format);
        let pasted = format!("\r\n  {}\r\n", key.trim().replace('\n', "\r\n"));
        let login = server.login().private_key(&pasted, Some("unused"));
        assert_eq!(failure(&login.destination(&json!({})).test().await), None, "{format:?}");
    }
    print_line(&format!("{accepted} kinds of user keys accepted in {:.1} s", start.elapsed().as_secs_f64()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ed25519_keys_in_pkcs8_log_in() {
    let server = OpenSsh::start();
    let key = decode_secret_key(&server.user_key("ed25519", "", "", None), None).expect("a key");
    let (mut plain, mut encrypted) = (Vec::new(), Vec::new());
    encode_pkcs8_pem(&key, &mut plain).expect("encoded");
    encode_pkcs8_pem_encrypted(&key, b"correct horse", 1000, &mut encrypted).expect("encoded");
    for (pem, passphrase) in [(plain, None), (encrypted, Some("correct horse"))] {
        let login = server.login().private_key(&String::from_utf8(pem).expect("UTF-8"), passphrase);
        assert_eq!(failure(&login.destination(&json!({})).test().await), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_read_or_would_take_too_long_are_refused() {
    let server = OpenSsh::start();
    let encrypted = server.user_key("ed25519", "", "correct horse", None);
    let pkcs8 = server.user_key("rsa", "2048", "correct horse", Some("PKCS8"));
    let key = decode_secret_key(&server.user_key("ed25519", "", "", None), None).expect("a key");
    // Encodes the iteration count in four bytes, and is never decrypted.
    let mut slow = Vec::new();
    encode_pkcs8_pem_encrypted(&key, b"correct horse", 1000, &mut slow).expect("encoded");
    let slow = with_iterations(&String::from_utf8(slow).expect("UTF-8"));
    for (name, key, passphrase) in [
        ("wrong passphrase", encrypted.as_str(), Some("wrong")),
        ("no passphrase", &encrypted, None),
        ("wrong passphrase", &pkcs8, Some("wrong")),
        ("no passphrase", &pkcs8, None),
        ("too many iterations", &slow, Some("correct horse")),
        ("no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None),
        ("no base64", "-----BEGIN OPENSSH PRIVATE KEY-----\n!!!!\n-----END OPENSSH PRIVATE KEY-----\n", None),
    ] {
        let login = server.login().private_key(key, passphrase);
        let refused = (CheckStep::Authenticate, FailureCode::AuthenticationFailed, None);
        assert_eq!(failure(&login.destination(&json!({})).test().await), Some(refused), "{name}");
    }
}

/// Replaces the 1,000 iterations of an encrypted key by 16,777,216, which DER encodes in four bytes.
fn with_iterations(pem: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).expect("base64");
    let iterations = [0x02, 0x02, 0x03, 0xe8];
    let position = der.windows(4).position(|window| window == iterations).expect("1,000 iterations");
    der.splice(position..position + 4, [0x02, 0x04, 0x01, 0, 0, 0]);
    format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{}\n-----END ENCRYPTED PRIVATE KEY-----\n", STANDARD.encode(der))
}
