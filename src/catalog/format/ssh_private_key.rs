//! Private keys for SSH: OpenSSH, PKCS#8, PKCS#1 and SEC 1, with or without a passphrase.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::Kdf;
use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::{Algorithm, PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

use super::pem;

/// Sizes of RSA keys that can sign.
const RSA_BITS: RangeInclusive<u32> = 2048..=8192;
const NO_PASSPHRASE: &str = "is encrypted; enter its passphrase too";

/// Maximum number of rounds of the key derivation of an OpenSSH key: seconds. ssh-keygen uses 16 or 24.
const MAX_BCRYPT_ROUNDS: u32 = 1000;
/// The identifier of scrypt (RFC 7914) in DER. The parameters in the key decide how much memory scrypt takes.
const SCRYPT: [u8; 11] = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
/// The identifier of PBKDF2 (RFC 8018) in DER.
const PBKDF2: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
/// Maximum number of bytes of the iteration count of PBKDF2 in DER: up to 8,388,607 iterations. OpenSSL uses 2,048.
const MAX_ITERATION_BYTES: u8 = 3;

/// Checks a private key when it is saved. Whether a passphrase decrypts it is not checked: that takes seconds for some keys.
pub(super) fn check(text: &str, passphrase: Option<&str>) -> Result<(), &'static str> {
    pem::check_lines(text)?;
    if !text.contains(" PRIVATE KEY-----") {
        return Err("must be a private key, from -----BEGIN … PRIVATE KEY----- to -----END … PRIVATE KEY-----");
    }
    match Parsed::new(text)? {
        Parsed::Encrypted(_) | Parsed::EncryptedPem if passphrase.is_none() => Err(NO_PASSPHRASE),
        Parsed::Encrypted(_) | Parsed::EncryptedPem => Ok(()),
        Parsed::Plain(key) => check_algorithm(&key),
    }
}

/// Reads a private key. The error follows the words "the private key".
pub fn read(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, &'static str> {
    let key = match Parsed::new(text)? {
        Parsed::Plain(key) => key,
        Parsed::Encrypted(key) => {
            key.decrypt(passphrase.ok_or(NO_PASSPHRASE)?).map_err(|_| "cannot be decrypted: wrong passphrase")?
        }
        Parsed::EncryptedPem => {
            let passphrase = passphrase.ok_or(NO_PASSPHRASE)?;
            decode_secret_key(&trimmed_lines(text), Some(passphrase))
                .map_err(|_| "cannot be decrypted: wrong passphrase or unsupported encryption")?
        }
    };
    check_algorithm(&key).map(|()| key)
}

/// A private key as far as it can be read without a passphrase.
enum Parsed {
    /// A key that is not encrypted.
    Plain(PrivateKey),
    /// An encrypted key in the format of OpenSSH.
    Encrypted(PrivateKey),
    /// An encrypted key in another format. It can only be read as a whole.
    EncryptedPem,
}

impl Parsed {
    fn new(text: &str) -> Result<Self, &'static str> {
        let lines = || text.lines().map(str::trim);
        let base64: Zeroizing<String> = Zeroizing::new(lines().filter(|line| !line.contains(['-', ':'])).collect());
        let content = STANDARD.decode(base64.as_bytes()).map_err(|_| "is damaged: it is not valid base64")?;
        let content = Zeroizing::new(content);
        if lines().any(|line| line == "-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Self::openssh(&content);
        }
        if text.contains("ENCRYPTED") {
            return check_derivation(&content).map(|()| Self::EncryptedPem);
        }
        let key = decode_secret_key(&trimmed_lines(text), None);
        key.map(Self::Plain).map_err(|_| "is damaged, or has an unsupported format")
    }

    fn openssh(content: &[u8]) -> Result<Self, &'static str> {
        let key = PrivateKey::from_bytes(content).map_err(|_| "is damaged, or has an unsupported format")?;
        if let Kdf::Bcrypt { rounds, .. } = key.kdf()
            && *rounds > MAX_BCRYPT_ROUNDS
        {
            return Err("is encrypted with more than 1000 rounds of key derivation");
        }
        Ok(if key.is_encrypted() { Self::Encrypted(key) } else { Self::Plain(key) })
    }
}

fn trimmed_lines(text: &str) -> Zeroizing<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    Zeroizing::new(lines.join("\n"))
}

fn check_algorithm(key: &PrivateKey) -> Result<(), &'static str> {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(()),
        Algorithm::Rsa { .. } => {
            let bits = key.public_key().key_data().rsa().map_or(0, RsaPublicKey::key_size);
            if RSA_BITS.contains(&bits) { Ok(()) } else { Err("is an RSA key that does not have 2048 to 8192 bits") }
        }
        Algorithm::Dsa => Err("is a DSA key, which servers no longer accept; use Ed25519, ECDSA or RSA"),
        Algorithm::SkEcdsaSha2NistP256 | Algorithm::SkEd25519 => {
            Err("needs a security key, which a service does not have; use Ed25519, ECDSA or RSA")
        }
        Algorithm::Other(_) | _ => Err("has an unsupported algorithm; use Ed25519, ECDSA or RSA"),
    }
}

/// Refuses a key derivation whose parameters could take minutes or gigabytes.
fn check_derivation(content: &[u8]) -> Result<(), &'static str> {
    if find(content, &SCRYPT).is_some() {
        return Err("is encrypted with scrypt, which is not supported");
    }
    let Some(position) = find(content, &PBKDF2) else { return Ok(()) };
    // PBKDF2-params (RFC 8018, A.2): SEQUENCE { salt OCTET STRING, iterationCount INTEGER, … }
    let unsupported = "is encrypted with unsupported parameters";
    let parameters = &content[position + PBKDF2.len()..];
    let [0x30, _, 0x04, salt_bytes @ 0..0x80, rest @ ..] = parameters else { return Err(unsupported) };
    match rest.get(usize::from(*salt_bytes)..) {
        Some([0x02, 1..=MAX_ITERATION_BYTES, ..]) => Ok(()),
        Some(_) | None => Err(unsupported),
    }
}

fn find(content: &[u8], pattern: &[u8]) -> Option<usize> {
    content.windows(pattern.len()).position(|window| window == pattern)
}
