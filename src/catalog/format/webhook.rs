//! Credentials of webhooks.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::text::{Read, is_graphic};

/// The prefix of signing secrets of Standard Webhooks.
const PREFIX: &str = "whsec_";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Other schemes of the header Authorization, in lower case, and how they are written.
const OTHER_SCHEMES: [(&str, &str); 6] = [
    ("token", "has the scheme Token before it; only bearer tokens are sent, so enter one alone"),
    (
        "basic",
        "has the scheme Basic before it; choose the auth method for user name and password, or enter a bearer token",
    ),
    ("apikey", "has the scheme ApiKey before it; only bearer tokens are sent, so enter one alone"),
    ("api-key", "has the scheme Api-Key before it; only bearer tokens are sent, so enter one alone"),
    ("digest", "has the scheme Digest before it; only bearer tokens are sent, so enter one alone"),
    ("negotiate", "has the scheme Negotiate before it; only bearer tokens are sent, so enter one alone"),
];

/// Checks a bearer token. RFC 6750 permits fewer characters than services that issue tokens use, which are all that a header
/// can have.
pub(super) fn check_bearer_token(text: &str) -> Result<(), &'static str> {
    let lower = text.to_ascii_lowercase();
    let (is_header, value) = match lower.strip_prefix("authorization:") {
        Some(value) => (true, value.trim_start()),
        None => (false, lower.as_str()),
    };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if scheme == "bearer" && rest.trim().is_empty() {
        return Err("is the word Bearer alone; enter the token that follows it");
    }
    if let Some((_, reason)) = OTHER_SCHEMES.iter().find(|(name, _)| scheme == *name && !rest.is_empty()) {
        return Err(reason);
    }
    if is_header || scheme == "bearer" {
        return Err("must be the token alone, without Authorization: Bearer");
    }
    if text.is_empty() || !is_graphic(text) {
        return Err("must be a bearer token: printable ASCII characters without spaces");
    }
    Ok(())
}

/// Reads a signing secret: the prefix and 24 to 64 random bytes in base64. Supabase writes the version before it.
pub(super) fn signing_secret(text: &str) -> Read<'_> {
    let text = text.strip_prefix("v1,").unwrap_or(text);
    let Some(encoded) = text.strip_prefix(PREFIX) else {
        return Err("must start with whsec_, followed by 24 to 64 random bytes in base64".into());
    };
    match BASE64.decode(encoded) {
        Ok(bytes) if (24..=64).contains(&bytes.len()) => Ok(Cow::Borrowed(text)),
        Ok(_) => Err("must have 24 to 64 random bytes in base64 after whsec_".into()),
        Err(_) if encoded.contains(['-', '_']) => {
            Err("is in the URL variant of base64; use the standard one, with + and /".into())
        }
        Err(_) => Err("must have base64 after whsec_".into()),
    }
}
