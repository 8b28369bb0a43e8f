//! Host keys of SSH servers: fingerprints, and the public keys that they are computed from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use russh::keys::{HashAlg, PublicKey};

/// Maximum number of host keys: those of each algorithm, before and after a rotation.
const MAX_HOST_KEYS: usize = 8;
/// Characters of a SHA-256 digest in base64 without padding.
const FINGERPRINT_CHARS: usize = 43;
/// Digits of a SHA-256 digest in hexadecimal.
const HEX_DIGITS: usize = 64;
/// The prefix of a fingerprint.
const PREFIX: &str = "SHA256:";
/// Markers around a public key as `ssh-keygen -e` prints it (RFC 4716).
const BLOCK: [&str; 2] = ["---- BEGIN SSH2 PUBLIC KEY ----", "---- END SSH2 PUBLIC KEY ----"];
/// Lines of the question that ssh asks about an unknown host, beside the one with the fingerprint.
const QUESTION: [&str; 3] = [
    "The authenticity of host ",
    "This key is not known by any other name",
    "Are you sure you want to continue connecting",
];

const EXPECTED: &str =
    "must be the fingerprint of the host key, as ssh-keygen -l prints it: SHA256: and 43 characters of base64";
const DSA: &str = "is a DSA key, which is not supported; enter a host key of another algorithm";
const DAMAGED: &str = "has a public key that is cut off or damaged";

/// Reads host keys, each in a spelling of OpenSSH, PuTTY, WinSCP, DNS or a cloud console, separated by commas or line breaks.
/// Returns their fingerprints, separated by commas. Quotes, which no spelling has, are dropped.
pub(super) fn read(text: &str) -> Result<String, &'static str> {
    let mut fingerprints: Vec<String> = Vec::new();
    for line in join_blocks(text)? {
        for fingerprint in read_line(&line)? {
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

/// Returns the lines that have keys. A block of RFC 4716 becomes one line.
fn join_blocks(text: &str) -> Result<Vec<String>, &'static str> {
    let is_quote = |character: char| "\"'\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}`".contains(character);
    let mut found = Vec::new();
    let mut lines = text.lines().map(|line| line.trim().trim_matches(is_quote).trim());
    while let Some(line) = lines.next() {
        if line == BLOCK[0] {
            let mut encoded = String::new();
            let mut is_header = false;
            loop {
                let line = lines.next().ok_or(DAMAGED)?;
                if line == BLOCK[1] {
                    break;
                }
                let continues_header = is_header;
                is_header = (continues_header || line.contains(':')) && line.ends_with('\\');
                if !continues_header && !line.contains(':') {
                    encoded.push_str(line);
                }
            }
            found.push(public_key(None, &encoded)?);
        } else if !line.is_empty() && !line.starts_with('#') && !is_question(line) {
            found.push(line.replace(is_quote, " "));
        }
    }
    Ok(found)
}

fn is_question(line: &str) -> bool {
    QUESTION.iter().any(|part| line.starts_with(part)) && !line.contains(PREFIX)
}

fn read_line(line: &str) -> Result<Vec<String>, &'static str> {
    let words: Vec<&str> = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty()).collect();
    if words.contains(&"@revoked") {
        return Err("is a revoked key, which must never be trusted; enter the host key that the server has now");
    }
    if words.contains(&"@cert-authority") {
        return Err("is the key of a certificate authority, which is not supported; enter the host key of the server");
    }
    if let Some(record) = words.iter().position(|word| word.eq_ignore_ascii_case("SSHFP")) {
        return dns_record(&words[record + 1..]).map(|key| vec![key]);
    }
    let (mut keys, mut is_marked, mut has_other) = (Vec::new(), false, false);
    for (index, word) in words.iter().enumerate() {
        if let Some(fingerprint) = without_prefix(word) {
            is_marked = true;
            keys.push(digest(fingerprint)?);
        } else if word.starts_with("AAAA") && word.len() > FINGERPRINT_CHARS + 1 {
            is_marked = true;
            keys.push(public_key(index.checked_sub(1).map(|before| words[before]), word)?);
        } else if let Ok(key) = digest(word) {
            keys.push(key);
        } else {
            has_other |= !is_description(word);
        }
    }
    // Names and comments are only beside keys that nothing else can be.
    if is_marked || (!keys.is_empty() && !has_other) {
        return Ok(keys);
    }
    let is_md5 = words.iter().any(|word| word.starts_with("MD5:") || is_pairs(word, 16));
    let md5 = "is an MD5 fingerprint, which is not secure; print the other one with ssh-keygen -l -E sha256";
    Err(if is_md5 { md5 } else { EXPECTED })
}

/// Whether a word is the algorithm or the number of bits beside a fingerprint.
fn is_description(word: &str) -> bool {
    ["ssh-", "ecdsa-", "rsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
        || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn without_prefix(word: &str) -> Option<&str> {
    let (prefix, rest) = word.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// The fingerprint of a record of DNS (RFC 4255): the algorithm, the type of the fingerprint, and its digits.
fn dns_record(fields: &[&str]) -> Result<String, &'static str> {
    match fields {
        ["2", ..] => Err(DSA),
        [_, "2", digits @ ..] if digits.concat().len() == HEX_DIGITS => digest(&digits.concat()),
        [_, "1", ..] => {
            Err("is an SSHFP record with SHA-1, which is not secure; enter the one with SHA-256, of type 2")
        }
        _ => Err("must be a complete SSHFP record: SSHFP, the algorithm, the type 2 and 64 hexadecimal digits"),
    }
}

/// The fingerprint of a public key as known_hosts, ssh-keyscan or a .pub file has it, after its algorithm.
fn public_key(algorithm: Option<&str>, encoded: &str) -> Result<String, &'static str> {
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).map_err(|_| DAMAGED);
    let is_dsa = algorithm == Some("ssh-dss") || bytes.as_ref().is_ok_and(|bytes| bytes.get(4..11) == Some(b"ssh-dss"));
    if is_dsa {
        return Err(DSA);
    }
    let key = PublicKey::from_bytes(&bytes?).map_err(|_| DAMAGED)?;
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

fn is_pairs(word: &str, count: usize) -> bool {
    let pairs: Vec<&str> = word.split(':').collect();
    pairs.len() == count && pairs.iter().all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Reads a SHA-256 digest: 43 characters of base64, or 64 hexadecimal digits with or without colons. A period may end the
/// sentence that it is from.
fn digest(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches(['.', ')']);
    let is_hex = text.len() == HEX_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex || is_pairs(text, HEX_DIGITS / 2) {
        let digits = text.replace(':', "");
        let bytes: Result<Vec<u8>, _> =
            (0..HEX_DIGITS).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16)).collect();
        return Ok(format!("{PREFIX}{}", STANDARD_NO_PAD.encode(bytes.map_err(|_| EXPECTED)?)));
    }
    let digest = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    if digest.len() == FINGERPRINT_CHARS && digest.bytes().all(allowed) {
        Ok(format!("{PREFIX}{digest}"))
    } else {
        Err(EXPECTED)
    }
}
