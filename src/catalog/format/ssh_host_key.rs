//! Host keys of SSH servers: fingerprints, and the public keys that they are computed from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use russh::keys::{HashAlg, PublicKey};

/// Maximum number of host keys: those of each algorithm, before and after a rotation.
const MAX_HOST_KEYS: usize = 8;
/// Characters of a SHA-256 digest in base64 without padding.
const FINGERPRINT_CHARS: usize = 43;
/// The prefix of a fingerprint.
const PREFIX: &str = "SHA256:";

/// Reads host keys, each in a spelling of OpenSSH, PuTTY, WinSCP or a cloud console, separated by commas or line breaks.
/// Returns their fingerprints, separated by commas.
pub(super) fn read(text: &str) -> Result<String, &'static str> {
    let mut fingerprints: Vec<String> = Vec::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        for fingerprint in read_line(line)? {
            if !fingerprints.contains(&fingerprint) {
                fingerprints.push(fingerprint);
            }
        }
    }
    match fingerprints.len() {
        0 => Err(EXPECTED),
        1..=MAX_HOST_KEYS => Ok(fingerprints.join(",")),
        _ => Err("must not have more than 8 host keys"),
    }
}

const EXPECTED: &str =
    "must be the fingerprint of the host key, as ssh-keygen -l prints it: SHA256: and 43 characters of base64";

fn read_line(line: &str) -> Result<Vec<String>, &'static str> {
    let words = || line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    if line.starts_with("@cert-authority") {
        return Err("is the key of a certificate authority, which is not supported; enter the host key of the server");
    }
    if words().any(|word| word.starts_with(PREFIX)) {
        return words().filter(|word| word.starts_with(PREFIX)).map(|word| digest(&word[PREFIX.len()..])).collect();
    }
    if let Some(key) = public_key(line) {
        return key.map(|key| vec![key]);
    }
    if words().any(|word| word.starts_with("MD5:") || is_md5(word)) {
        return Err("is an MD5 fingerprint, which is not secure; print the other one with ssh-keygen -l -E sha256");
    }
    words().filter(|word| !is_description(word)).map(digest).collect()
}

/// The public key of a line of known_hosts, ssh-keyscan or a .pub file; `None` if there is none in it.
fn public_key(line: &str) -> Option<Result<String, &'static str>> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let encoded = words.iter().position(|word| word.starts_with("AAAA") && word.len() > FINGERPRINT_CHARS + 1)?;
    let algorithm = encoded.checked_sub(1).map(|before| words[before]);
    if algorithm == Some("ssh-dss") {
        return Some(Err("is a DSA key, which is not supported; enter a host key of another algorithm"));
    }
    let bytes = STANDARD_NO_PAD.decode(words[encoded].trim_end_matches('='));
    let key = bytes.ok().and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
    Some(
        key.map(|key| key.fingerprint(HashAlg::Sha256).to_string())
            .ok_or("has a public key that is cut off or damaged"),
    )
}

/// Whether a word is the algorithm or the number of bits beside a fingerprint.
fn is_description(word: &str) -> bool {
    ["ssh-", "ecdsa-", "rsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
        || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_md5(word: &str) -> bool {
    let pairs: Vec<&str> = word.split(':').collect();
    pairs.len() == 16 && pairs.iter().all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn digest(text: &str) -> Result<String, &'static str> {
    let digest = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if digest.len() == FINGERPRINT_CHARS && digest.bytes().all(allowed) {
        Ok(format!("{PREFIX}{digest}"))
    } else {
        Err(EXPECTED)
    }
}
