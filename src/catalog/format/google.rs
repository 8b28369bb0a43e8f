//! Names and keys of Google Cloud.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::endpoint::is_ipv4;
use super::text::{Context, Read, is_file_path};
use super::{certificate, pem};

/// The parts of a key file that decide whether it can be used.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct KeyFile {
    #[serde(rename = "type", default)]
    account_type: String,
    #[serde(default)]
    client_email: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    private_key: String,
}

/// Checks the name of a bucket by the rules of Google Cloud Storage.
pub(super) fn check_bucket(text: &str) -> Result<(), &'static str> {
    if text.contains("://") || text.contains('/') {
        return Err("must be the name of the bucket alone; a path in the bucket is the prefix");
    }
    if text.ends_with(".storage.googleapis.com") {
        return Err("is the host name of a bucket; enter the name of the bucket alone");
    }
    if text.starts_with("goog") {
        return Err("must not start with goog, which Google reserves");
    }
    let edge = |character: Option<char>| character.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let is_name = (3..=222).contains(&text.len())
        && text.bytes().all(allowed)
        && text.split('.').all(|part| (1..=63).contains(&part.len()));
    if !is_name || !edge(text.chars().next()) || !edge(text.chars().last()) || is_ipv4(text) {
        return Err(
            "must be the name of a bucket: 3 to 63 lower-case letters, digits, hyphens, underscores and periods, \
                    which starts and ends with a letter or digit and is not an IP address; with periods up to 222",
        );
    }
    Ok(())
}

/// Checks the key file of a service account. A file in base64, as the API and Terraform return it, or in a JSON string is
/// decoded, and line breaks in its strings are escaped.
pub(super) fn service_account_key(text: &str) -> Read<'_> {
    if is_file_path(text) {
        return Err("is the path of a file; enter the content of the file".into());
    }
    if text.starts_with("-----BEGIN") {
        return Err("is the private key alone; enter the complete JSON file of the service account".into());
    }
    let decoded = if text.starts_with(['{', '"']) { None } else { pem::decode(text) };
    let repaired = repair(decoded.as_deref().map_or(text, String::as_str)).or(decoded);
    check_key_file(repaired.as_deref().map_or(text, String::as_str))?;
    Ok(repaired.map_or(Cow::Borrowed(text), |mut json| Cow::Owned(std::mem::take(&mut *json))))
}

/// Returns the JSON document that a text contains which is not one itself: a JSON string, with or without its quotes, or a
/// document with line breaks in its strings.
fn repair(text: &str) -> Option<Zeroizing<String>> {
    let text = text.trim();
    if !text.starts_with('"') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return None;
    }
    let quoted = Zeroizing::new(if text.starts_with('"') { text.to_owned() } else { format!("\"{text}\"") });
    let candidates = [serde_json::from_str(&quoted).ok().map(Zeroizing::new), Some(escape_line_breaks(text))];
    let is_document =
        |json: &Zeroizing<String>| json.starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok();
    candidates.into_iter().flatten().find(is_document)
}

/// Escapes the line breaks in the strings of a JSON document.
fn escape_line_breaks(text: &str) -> Zeroizing<String> {
    // Each line break can become two characters. A reallocation would leave a copy of the key behind.
    let mut escaped = Zeroizing::new(String::with_capacity(2 * text.len()));
    let (mut is_string, mut is_escaped) = (false, false);
    for character in text.chars() {
        match character {
            '\n' if is_string => escaped.push_str("\\n"),
            '\r' if is_string => {}
            _ => escaped.push(character),
        }
        is_string ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
    }
    escaped
}

fn check_key_file(json: &str) -> Result<(), &'static str> {
    let expected = "must be the complete JSON file of a key that Google issued for a service account";
    if json.contains("\"privateKeyData\"") {
        return Err("is the answer of the API that created the key; enter the value of its privateKeyData");
    }
    let file: KeyFile = serde_json::from_str(json).map_err(|_| expected)?;
    match file.account_type.as_str() {
        "service_account" => {}
        "authorized_user" => {
            return Err("is the credential of a person (authorized_user); create a key for a service account");
        }
        "external_account" | "external_account_authorized_user" => {
            return Err(
                "is a configuration of workload identity federation, which is not supported; create a key for a \
                        service account",
            );
        }
        "impersonated_service_account" => {
            return Err(
                "is a configuration of impersonation, which is not supported; create a key for a service account",
            );
        }
        _ if json.contains("\"client_secret\"") => {
            return Err("is an OAuth client; create a key for a service account");
        }
        _ => return Err(expected),
    }
    if file.client_email.is_empty() || file.private_key_id.is_empty() || file.private_key.is_empty() {
        return Err("lacks client_email, private_key_id or private_key; enter the complete file");
    }
    certificate::private_key(&file.private_key, &Context::default())
        .map(drop)
        .map_err(|_| "has a private_key that is damaged; enter the file as Google issued it, with its \\n")
}
