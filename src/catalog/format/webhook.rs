//! Credentials of webhooks.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// The prefix of signing secrets of Standard Webhooks.
const PREFIX: &str = "whsec_";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Checks a bearer token (RFC 6750).
pub(super) fn check_bearer_token(text: &str) -> Result<(), &'static str> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("bearer ") || lower.starts_with("authorization:") {
        return Err("must be the token alone, without Authorization: Bearer");
    }
    let token = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if token.is_empty() || !token.bytes().all(allowed) {
        return Err("must be a bearer token: letters, digits and - . _ ~ + /, and = at the end");
    }
    Ok(())
}

/// Checks a signing secret: the prefix and 24 to 64 random bytes in base64.
pub(super) fn check_signing_secret(text: &str) -> Result<(), &'static str> {
    let Some(encoded) = text.strip_prefix(PREFIX) else {
        return Err("must start with whsec_, followed by 24 to 64 random bytes in base64");
    };
    match BASE64.decode(encoded) {
        Ok(bytes) if (24..=64).contains(&bytes.len()) => Ok(()),
        Ok(_) => Err("must have 24 to 64 random bytes in base64 after whsec_"),
        Err(_) if encoded.contains(['-', '_']) => {
            Err("is in the URL variant of base64; use the standard one, with + and /")
        }
        Err(_) => Err("must have base64 after whsec_"),
    }
}
