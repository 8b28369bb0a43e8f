//! Names and keys of Amazon S3, and of stores with the same API.

use super::endpoint::{is_ipv4, is_s3_store};
use super::text::{Context, is_graphic};

/// Prefixes of ids of AWS that are not access keys: users, roles, groups and others.
const OTHER_IDS: [&str; 8] = ["AIDA", "AROA", "AGPA", "AIPA", "ANPA", "ANVA", "APKA", "ASCA"];

/// Checks the name of a bucket by the rules of Amazon S3 for old buckets of us-east-1, and of Ceph. In the virtual style,
/// the field permits what a host name can have.
pub(super) fn check_bucket(text: &str) -> Result<(), &'static str> {
    if text.starts_with("arn:") {
        return Err("is an ARN; enter the name of the bucket, or the alias of the access point");
    }
    if text.contains("://") || text.contains('/') {
        return Err("must be the name of the bucket alone; a path in the bucket is the prefix");
    }
    if is_s3_store(&text.to_ascii_lowercase()) {
        return Err("is the host name of a bucket; enter the name of the bucket alone");
    }
    if ["--x-s3", "--xa-s3"].iter().any(|suffix| text.ends_with(suffix)) {
        return Err(
            "is a directory bucket (S3 Express One Zone), which is not supported; enter a general purpose bucket",
        );
    }
    if text.ends_with("--ol-s3") {
        return Err("is the alias of an Object Lambda access point, which only reads; enter the bucket");
    }
    let edge = |character: Option<char>| character.is_some_and(|c| c.is_ascii_alphanumeric());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (3..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.contains("..");
    if !is_name || !edge(text.chars().next()) || !edge(text.chars().last()) || is_ipv4(text) {
        return Err(
            "must be the name of a bucket: 3 to 63 letters, digits, hyphens, underscores and single periods, which \
                    starts and ends with a letter or digit and is not an IP address",
        );
    }
    Ok(())
}

/// Checks the code of a region.
pub(super) fn check_region(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_code = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
    if !is_code || text.starts_with('-') || text.ends_with('-') {
        return Err("must be the code of a region, such as eu-central-1, not its name");
    }
    let mut parts = text.rsplit('-');
    let last = parts.next().unwrap_or_default();
    let is_zone = last.len() == 2 && last.as_bytes()[0].is_ascii_digit() && last.as_bytes()[1].is_ascii_lowercase();
    if is_zone && parts.count() >= 2 {
        return Err("is an availability zone; enter its region, without the letter at the end");
    }
    Ok(())
}

/// Checks the ID of an access key. Other stores have ids of their own, so that only ids of AWS are known.
pub(super) fn check_access_key_id(text: &str, context: &Context<'_>) -> Result<(), &'static str> {
    if text.starts_with("arn:") {
        return Err("is an ARN; enter the ID of an access key, such as AKIAIOSFODNN7EXAMPLE");
    }
    if !is_graphic(text) {
        return Err("must be printable ASCII characters without spaces");
    }
    let is_aws_id = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_aws_id && OTHER_IDS.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(
            "is the ID of a user, role or group; enter the ID of an access key, which starts with AKIA or ASIA",
        );
    }
    let is_temporary = is_aws_id && text.starts_with("ASIA");
    if is_temporary && context.has_companion && context.companion.is_none() {
        return Err("is of temporary credentials, which work only with their session token; enter the token too");
    }
    Ok(())
}

/// Checks a secret access key.
pub(super) fn check_secret_access_key(text: &str) -> Result<(), &'static str> {
    if !is_graphic(text) {
        return Err("must be printable ASCII characters without spaces");
    }
    let is_id = text.len() == 20 && (text.starts_with("AKIA") || text.starts_with("ASIA"));
    if is_id { Err("is the ID of an access key; enter the secret access key that belongs to it") } else { Ok(()) }
}

/// Checks the session token of temporary credentials.
pub(super) fn check_session_token(text: &str) -> Result<(), &'static str> {
    if is_graphic(text) { Ok(()) } else { Err("must be printable ASCII characters without spaces") }
}
