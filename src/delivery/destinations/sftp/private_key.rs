//! Reads private keys of users: OpenSSH, PKCS#8, PKCS#1 and SEC 1, with or without a passphrase.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::Kdf;
use russh::keys::{PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

/// Maximum number of rounds of the key derivation of an OpenSSH key: seconds. ssh-keygen uses 16 or 24.
const MAX_BCRYPT_ROUNDS: u32 = 1000;
/// The identifier of scrypt (RFC 7914) in DER. The parameters in the key decide how much memory scrypt takes.
const SCRYPT: [u8; 11] = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
/// The identifier of PBKDF2 (RFC 8018) in DER.
const PBKDF2: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
/// Maximum number of bytes of the iteration count of PBKDF2 in DER: up to 8,388,607 iterations. OpenSSL uses 2,048.
const MAX_ITERATION_BYTES: u8 = 3;

/// Reads a private key. The error says what is wrong with it.
pub fn read(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, &'static str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_openssh = lines.contains(&"-----BEGIN OPENSSH PRIVATE KEY-----");
    let is_encrypted = text.contains("ENCRYPTED");
    if is_encrypted && passphrase.is_none() {
        return Err("the private key is encrypted, and there is no passphrase");
    }
    let base64: Zeroizing<String> =
        Zeroizing::new(lines.iter().filter(|line| !line.contains(['-', ':'])).copied().collect());
    let content = STANDARD.decode(base64.as_bytes()).map_err(|_| "the private key is not valid base64")?;
    let content = Zeroizing::new(content);
    if is_openssh {
        return read_openssh(&content, passphrase);
    }
    if is_encrypted {
        check_derivation(&content)?;
    }
    let normalized = Zeroizing::new(lines.join("\n"));
    decode_secret_key(&normalized, passphrase.filter(|_| is_encrypted)).map_err(|_| {
        if is_encrypted {
            "the private key cannot be decrypted: wrong passphrase or unsupported encryption"
        } else {
            "the private key has an unsupported format"
        }
    })
}

fn read_openssh(content: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, &'static str> {
    let key = PrivateKey::from_bytes(content).map_err(|_| "the private key has an unsupported format")?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    if let Kdf::Bcrypt { rounds, .. } = key.kdf()
        && *rounds > MAX_BCRYPT_ROUNDS
    {
        return Err("the private key is encrypted with more than 1000 rounds of key derivation");
    }
    let passphrase = passphrase.ok_or("the private key is encrypted, and there is no passphrase")?;
    key.decrypt(passphrase).map_err(|_| "the private key cannot be decrypted: wrong passphrase")
}

/// Refuses a key derivation whose parameters could take minutes or gigabytes.
fn check_derivation(content: &[u8]) -> Result<(), &'static str> {
    if find(content, &SCRYPT).is_some() {
        return Err("the private key is encrypted with scrypt, which is not supported");
    }
    let Some(position) = find(content, &PBKDF2) else { return Ok(()) };
    // PBKDF2-params (RFC 8018, A.2): SEQUENCE { salt OCTET STRING, iterationCount INTEGER, … }
    let unsupported = "the private key is encrypted with unsupported parameters";
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
