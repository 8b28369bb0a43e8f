//! Private keys for SSH: OpenSSH, PKCS#8, PKCS#1 and SEC 1, with or without a passphrase.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::ssh_key::{Cipher, Kdf};
use russh::keys::{Algorithm, PrivateKey, decode_secret_key};
use zeroize::Zeroizing;

use super::pem;

/// Sizes of RSA keys that can sign.
const RSA_BITS: RangeInclusive<u32> = 2048..=8192;
/// Bytes of a block of AES.
const AES_BLOCK_BYTES: usize = 16;
/// The end of the first and of the last line of a private key.
const END_OF_LABEL: &str = "PRIVATE KEY-----";
const NO_PASSPHRASE: &str = "is encrypted; enter its passphrase too";
const UNSUPPORTED: &str = "is encrypted in a way that is not supported; convert it with ssh-keygen -p -f KEY";
const DSA: &str = "is a DSA key, which servers no longer accept; use Ed25519, ECDSA or RSA";

/// Maximum number of rounds of the key derivation of an OpenSSH key: seconds. ssh-keygen uses 16 or 24.
const MAX_BCRYPT_ROUNDS: u32 = 1000;
/// The identifier of scrypt (RFC 7914) in DER. The parameters in the key decide how much memory scrypt takes.
const SCRYPT: [u8; 11] = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
/// The identifier of PBKDF2 (RFC 8018) in DER.
const PBKDF2: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
/// The identifier of PBES2 (RFC 8018) in DER without its last byte, and this byte. The schemes of PBES1 have others.
const PBES2: [u8; 10] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
const PBES2_END: u8 = 0x0d;
/// The identifiers of HMAC in DER without their last byte, and this byte of those with SHA-2. SHA-1 cannot be opened.
const HMAC: [u8; 9] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];
const HMAC_SHA_2: [u8; 4] = [0x08, 0x09, 0x0a, 0x0b];
/// The identifiers of AES in DER without their last byte, and this byte of CBC with each size, and of GCM with two sizes.
const AES: [u8; 10] = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01];
const AES_MODES: [u8; 5] = [0x02, 0x16, 0x2a, 0x06, 0x2e];
/// Bytes in which all parameters of an encryption are.
const MAX_HEADER_BYTES: usize = 256;
/// Maximum number of bytes of the iteration count of PBKDF2 in DER: up to 8,388,607 iterations. OpenSSL uses 2,048.
const MAX_ITERATION_BYTES: u8 = 3;

/// Checks a private key when it is saved, and returns it without what is around it: parameters of its curve, comments, its
/// public key. Whether a passphrase decrypts it is not checked: that takes seconds for some keys.
pub(super) fn check<'a>(text: &'a str, passphrase: Option<&str>) -> Result<Cow<'a, str>, &'static str> {
    let block = block(text)?;
    match Parsed::new(&block)? {
        Parsed::Encrypted(_) | Parsed::EncryptedPem if passphrase.is_none() => Err(NO_PASSPHRASE),
        Parsed::Encrypted(_) | Parsed::EncryptedPem => Ok(block),
        Parsed::Plain(key) => check_algorithm(&key).map(|()| block),
    }
}

/// Reads a private key. The error follows the words "the private key".
pub fn read(text: &str, passphrase: Option<&str>) -> Result<PrivateKey, &'static str> {
    let block = block(text)?;
    let key = match Parsed::new(&block)? {
        Parsed::Plain(key) => key,
        Parsed::Encrypted(key) => {
            key.decrypt(passphrase.ok_or(NO_PASSPHRASE)?).map_err(|_| "cannot be decrypted: wrong passphrase")?
        }
        Parsed::EncryptedPem => {
            let passphrase = passphrase.ok_or(NO_PASSPHRASE)?;
            decode_secret_key(&block, Some(passphrase))
                .map_err(|_| "cannot be decrypted: wrong passphrase or unsupported encryption")?
        }
    };
    check_algorithm(&key).map(|()| key)
}

/// Returns the block of the private key, from its first to its last line.
fn block(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let text = pem::read(text)?;
    let is_begin = |line: &&str| line.starts_with("-----BEGIN ") && line.ends_with(END_OF_LABEL);
    match text.lines().filter(is_begin).count() {
        0 if text.contains(" PUBLIC KEY-----") => return Err("is a public key; enter the private key"),
        0 => return Err("must be a private key, from -----BEGIN … PRIVATE KEY----- to -----END … PRIVATE KEY-----"),
        1 => {}
        _ => return Err("has more than one private key; enter one"),
    }
    if text.starts_with("-----BEGIN ") && text.matches("-----BEGIN ").count() == 1 && text.ends_with(END_OF_LABEL) {
        return Ok(text);
    }
    let mut block: Vec<&str> = text.lines().skip_while(|line| !is_begin(line)).collect();
    if let Some(end) = block.iter().position(|line| line.starts_with("-----END ")) {
        block.truncate(end + 1);
    }
    Ok(Cow::Owned(block.join("\n")))
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
    fn new(block: &str) -> Result<Self, &'static str> {
        let base64: Zeroizing<String> =
            Zeroizing::new(block.lines().filter(|line| !line.contains(['-', ':'])).collect());
        let content = STANDARD.decode(base64.as_bytes()).map_err(|_| "is damaged: it is not valid base64")?;
        let content = Zeroizing::new(content);
        match block.lines().next() {
            Some("-----BEGIN OPENSSH PRIVATE KEY-----") => Self::openssh(&content),
            Some("-----BEGIN ENCRYPTED PRIVATE KEY-----") => check_derivation(&content).map(|()| Self::EncryptedPem),
            Some("-----BEGIN DSA PRIVATE KEY-----") => Err(DSA),
            label if block.contains("ENCRYPTED") => {
                // The encryption of PEM before PKCS #8, of which only this one can be opened.
                let is_aes_128 = block.lines().any(|line| {
                    line.strip_prefix("DEK-Info: AES-128-CBC,").is_some_and(|iv| {
                        iv.len() == 2 * AES_BLOCK_BYTES && iv.bytes().all(|byte| byte.is_ascii_hexdigit())
                    })
                });
                let is_rsa = label == Some("-----BEGIN RSA PRIVATE KEY-----");
                let is_whole = !content.is_empty() && content.len().is_multiple_of(AES_BLOCK_BYTES);
                if is_aes_128 && is_rsa && is_whole { Ok(Self::EncryptedPem) } else { Err(UNSUPPORTED) }
            }
            _ => {
                let key = decode_secret_key(block, None);
                key.map(Self::Plain).map_err(|_| "is damaged, or has an unsupported format")
            }
        }
    }

    fn openssh(content: &[u8]) -> Result<Self, &'static str> {
        let key = PrivateKey::from_bytes(content).map_err(|_| "is damaged, or has an unsupported format")?;
        if key.cipher() == Cipher::TdesCbc {
            return Err(UNSUPPORTED);
        }
        if let Kdf::Bcrypt { rounds, .. } = key.kdf()
            && *rounds > MAX_BCRYPT_ROUNDS
        {
            return Err("is encrypted with more than 1000 rounds of key derivation");
        }
        Ok(if key.is_encrypted() { Self::Encrypted(key) } else { Self::Plain(key) })
    }
}

fn check_algorithm(key: &PrivateKey) -> Result<(), &'static str> {
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(()),
        Algorithm::Rsa { .. } => {
            let bits = key.public_key().key_data().rsa().map_or(0, RsaPublicKey::key_size);
            if RSA_BITS.contains(&bits) { Ok(()) } else { Err("is an RSA key that does not have 2048 to 8192 bits") }
        }
        Algorithm::Dsa => Err(DSA),
        Algorithm::SkEcdsaSha2NistP256 | Algorithm::SkEd25519 => {
            Err("needs a security key, which a service does not have; use Ed25519, ECDSA or RSA")
        }
        Algorithm::Other(_) | _ => Err("has an unsupported algorithm; use Ed25519, ECDSA or RSA"),
    }
}

/// Refuses an encryption that cannot be opened, and a key derivation whose parameters could take minutes or gigabytes.
fn check_derivation(content: &[u8]) -> Result<(), &'static str> {
    if find(content, &SCRYPT).is_some() {
        return Err("is encrypted with scrypt, which is not supported; convert it with ssh-keygen -p -f KEY");
    }
    let header = &content[..content.len().min(MAX_HEADER_BYTES)];
    let has = |prefix: &[u8], ends: &[u8]| {
        find(header, prefix).and_then(|at| header.get(at + prefix.len())).is_some_and(|end| ends.contains(end))
    };
    let Some(position) = find(header, &PBKDF2).filter(|_| has(&PBES2, &[PBES2_END])) else { return Err(UNSUPPORTED) };
    if !has(&HMAC, &HMAC_SHA_2) || !has(&AES, &AES_MODES) {
        return Err(UNSUPPORTED);
    }
    // PBKDF2-params (RFC 8018, A.2): SEQUENCE { salt OCTET STRING, iterationCount INTEGER, … }
    let unsupported = "is encrypted with unsupported parameters";
    let parameters = &header[position + PBKDF2.len()..];
    let [0x30, _, 0x04, salt_bytes @ 0..0x80, rest @ ..] = parameters else { return Err(unsupported) };
    match rest.get(usize::from(*salt_bytes)..) {
        Some([0x02, 1..=MAX_ITERATION_BYTES, ..]) => Ok(()),
        Some(_) | None => Err(unsupported),
    }
}

fn find(content: &[u8], pattern: &[u8]) -> Option<usize> {
    content.windows(pattern.len()).position(|window| window == pattern)
}
