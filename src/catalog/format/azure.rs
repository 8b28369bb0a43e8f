//! Names and credentials of Azure Storage and Microsoft Entra.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use url::form_urlencoded;

use super::endpoint::AZURE_DOMAINS;
use super::text::{Read, is_graphic, parse_guid};

/// Bytes of an access key of a storage account.
const ACCOUNT_KEY_BYTES: usize = 64;

/// Checks the name of a storage account.
pub(super) fn check_storage_account(text: &str) -> Result<(), &'static str> {
    if text.contains("://") || AZURE_DOMAINS.iter().any(|host| text.contains(host)) {
        return Err("must be the name of the storage account alone, without https:// and domain");
    }
    if !(3..=24).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err("must be 3 to 24 lower-case letters and digits");
    }
    Ok(())
}

/// Checks the name of a container.
pub(super) fn check_container(text: &str) -> Result<(), &'static str> {
    if matches!(text, "$root" | "$web") {
        return Ok(());
    }
    if text == "$logs" {
        return Err("is the container of the storage analytics, to which only Azure writes");
    }
    if text.contains('/') {
        return Err("must be the name of the container alone; a path in the container is the prefix");
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (3..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.contains("--");
    if !is_name || text.starts_with('-') || text.ends_with('-') {
        return Err(
            "must be 3 to 63 lower-case letters, digits and single hyphens, which starts and ends with a letter or \
                    digit, or $root or $web",
        );
    }
    Ok(())
}

/// Checks an access key of a storage account.
pub(super) fn check_account_key(text: &str) -> Result<(), &'static str> {
    if text.contains("AccountKey=") {
        return Err("is a connection string; enter only the value after AccountKey=");
    }
    if text.contains("sig=") {
        return Err("is a shared access signature; choose the auth method sas_token");
    }
    match STANDARD.decode(text) {
        Ok(bytes) if bytes.len() == ACCOUNT_KEY_BYTES => Ok(()),
        Ok(_) | Err(_) => Err("must be an access key of the storage account: 88 characters of base64"),
    }
}

/// Checks a shared access signature and drops the question mark before it. What it permits is only checked where it is
/// certain that no delivery can succeed.
pub(super) fn sas_token(text: &str, now: DateTime<Utc>) -> Read<'_> {
    let is_url = text.split_once('?').is_some_and(|(before, _)| !before.is_empty() && !before.contains(['=', ';']));
    if is_url || (text.contains("://") && !text.contains(';')) {
        return Err("is the URL of a shared access signature; enter only the part after the question mark".into());
    }
    if text.contains("SharedAccessSignature=") || text.contains("AccountKey=") {
        return Err(
            "is a connection string; enter only the value after SharedAccessSignature=, or choose the auth method \
                    account_key"
                .into(),
        );
    }
    let token = text.strip_prefix('?').unwrap_or(text);
    let value = |name: &str| {
        let mut parameters = form_urlencoded::parse(token.as_bytes());
        parameters.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if !is_graphic(token) || value("sig").is_none_or(|signature| signature.is_empty()) {
        return Err("must be a shared access signature: parameters such as sv=…&sp=…&se=…&sig=…".into());
    }
    check_parameters(value)?;
    check_expiry(value, now)?;
    check_permissions(value)?;
    Ok(escape_plus(token))
}

/// Percent-encodes plus signs in the signature, which is base64 and never has the spaces that they stand for.
fn escape_plus(token: &str) -> Cow<'_, str> {
    let has_plus = |parameter: &str| parameter.starts_with("sig=") && parameter.contains('+');
    if !token.split('&').any(has_plus) {
        return Cow::Borrowed(token);
    }
    let escaped: Vec<Cow<'_, str>> = token
        .split('&')
        .map(|one| if has_plus(one) { Cow::Owned(one.replace('+', "%2B")) } else { Cow::Borrowed(one) })
        .collect();
    Cow::Owned(escaped.join("&"))
}

/// Checks that the token is whole, and has nothing but itself in it.
fn check_parameters(value: impl Fn(&str) -> Option<String>) -> Result<(), &'static str> {
    if ["comp", "restype"].iter().any(|name| value(name).is_some()) {
        return Err("has parameters of a request (comp, restype); enter only those of the shared access signature");
    }
    if value("sig").is_some_and(|signature| signature.contains('%')) {
        return Err("has a signature (sig) that is percent-encoded twice; copy the token from where it was created");
    }
    if value("sv").is_none() || ["sp", "si"].iter().all(|name| value(name).is_none()) {
        return Err("is a part of a shared access signature; enter all of it, such as sv=…&sp=…&se=…&sig=…");
    }
    Ok(())
}

fn check_expiry(value: impl Fn(&str) -> Option<String>, now: DateTime<Utc>) -> Result<(), Cow<'static, str>> {
    let shown = |end: DateTime<Utc>| end.to_rfc3339_opts(SecondsFormat::Secs, true);
    if let Some(end) = value("se") {
        let end = time(&end).ok_or("has an expiry (se) that is not a time")?;
        if end <= now {
            return Err(format!("expired at {}", shown(end)).into());
        }
    }
    if let Some(end) = value("ske") {
        let end = time(&end).ok_or("has an expiry of its user delegation key (ske) that is not a time")?;
        if end <= now {
            let end = shown(end);
            return Err(format!("has a user delegation key (ske) that expired at {end}; create a new token").into());
        }
    }
    Ok(())
}

fn check_permissions(value: impl Fn(&str) -> Option<String>) -> Result<(), &'static str> {
    if value("sr").is_some_and(|resource| matches!(resource.as_str(), "b" | "bs" | "bv")) {
        return Err("is for a single blob (sr); create one for the container");
    }
    if value("sr").is_some_and(|resource| matches!(resource.as_str(), "s" | "f")) {
        return Err("is for Azure Files (sr); create one for the container of the Blob service");
    }
    if value("ss").is_some_and(|services| !services.contains('b')) {
        return Err("is not for the Blob service (ss); create one that permits it");
    }
    if value("srt").is_some_and(|types| !types.contains('o')) {
        return Err("is not for objects (srt); create one that permits them");
    }
    match value("sp") {
        Some(permissions) if !permissions.contains(['w', 'c']) => {
            Err("does not permit to write (sp); create one that permits to read, create, write, delete and list")
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads a time of a shared access signature: a date, or a time of UTC with or without seconds.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let at_midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(NaiveDateTime::from);
    let minutes = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").ok();
    let naive: Option<NaiveDateTime> = minutes().or_else(at_midnight);
    naive.map(|time| time.and_utc()).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
}

/// Checks a tenant: its ID, or a domain that belongs to it.
pub(super) fn tenant(text: &str) -> Read<'_> {
    if text.contains("://") || text.contains('/') {
        return Err("must be the ID or a domain of the tenant alone, not a URL".into());
    }
    if let Some(id) = parse_guid(text) {
        return Ok(Cow::Owned(id.hyphenated().to_string()));
    }
    let domain = text.to_ascii_lowercase();
    if matches!(domain.as_str(), "common" | "organizations" | "consumers") {
        return Err(
            "must name one tenant; an app that signs in with a secret cannot use common, organizations or consumers"
                .into(),
        );
    }
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() > 253 || !domain.contains('.') || !domain.split('.').all(is_label) {
        return Err("must be the directory (tenant) ID, a GUID, or a domain of the tenant, such as \
                    contoso.onmicrosoft.com"
            .into());
    }
    Ok(Cow::Owned(domain))
}

/// Checks the value of a client secret.
pub(super) fn check_client_secret(text: &str) -> Result<(), &'static str> {
    if parse_guid(text).is_some() {
        return Err(
            "is a GUID: the ID of the secret; enter its value, which the portal shows once, after its creation",
        );
    }
    if text.starts_with("-----BEGIN") {
        return Err("is a certificate or key; enter the value of a client secret");
    }
    if is_graphic(text) { Ok(()) } else { Err("must be printable ASCII characters without spaces") }
}
