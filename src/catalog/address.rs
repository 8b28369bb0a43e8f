//! Checks hosts, URIs and relative paths.
//!
//! The checks are stricter than most parsers, so that every client that connects later reads the same host from a text.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Host;

/// The longest host name in bytes, as DNS permits.
const MAX_HOST_BYTES: usize = 253;
/// The longest label of a host name in bytes, as DNS permits.
const MAX_LABEL_BYTES: usize = 63;
/// The longest URI in bytes. Clients and proxies accept this length.
const MAX_URI_BYTES: usize = 2048;
/// The longest relative path in bytes. A prefix, the folder of an export and a file name fit into the 1,024 bytes of an
/// object key.
const MAX_PATH_BYTES: usize = 400;
/// The longest segment of a path in characters. Two-byte letters stay below the 255 bytes of file systems.
const MAX_SEGMENT_CHARS: usize = 120;

/// Returns a host in the spelling that is looked up: an internationalized name in ASCII, an IPv6 address without brackets, and
/// without the period that may end an absolute name.
pub(super) fn ascii_host(text: &str) -> Result<String, &'static str> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    if bare.is_ascii() {
        return Ok(bare.to_owned());
    }
    match Host::parse(bare) {
        Ok(Host::Domain(ascii)) => Ok(ascii),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) | Err(_) => Err("must be a host name or an IP address"),
    }
}

/// Returns a URI with an internationalized host name in ASCII, and its scheme in lower case.
pub(super) fn ascii_uri(text: &str) -> Result<String, &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text.to_owned()) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = if authority.is_ascii() {
        authority.to_owned()
    } else {
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        let host = ascii_host(host)?;
        port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    };
    Ok(format!("{}://{authority}{path}", scheme.to_ascii_lowercase()))
}

/// Checks a host name or the literal of an IP address. The error states what is wrong.
pub(super) fn check_host(text: &str) -> Result<(), &'static str> {
    if text.contains('@') {
        return Err("must be a host name or an IP address, without user information");
    }
    if text.contains("://") || text.contains('/') {
        return Err("must be a host name or an IP address, without scheme or path");
    }
    if text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    if text.contains(':') {
        return Err("must be a host name or an IP address, without port; write an IPv6 address without brackets");
    }
    check_host_name(text)
}

fn check_host_name(text: &str) -> Result<(), &'static str> {
    let label_ok = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > MAX_HOST_BYTES || !text.split('.').all(label_ok) {
        return Err("must be a host name (labels of 1 to 63 ASCII letters, digits, hyphens or underscores, \
                    at most 253 bytes in total) or an IP address");
    }
    // Some resolvers read `127.1`, `2130706433` and `0x7f.0.0.1` as addresses, others as names.
    let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if hexadecimal || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("must be an IPv4 address of four decimal numbers, or a host name that does not end in a number");
    }
    Ok(())
}

/// Checks an absolute URI with a host. `any_scheme` is set if the pattern of the field decides on the scheme; otherwise it
/// must be http or https.
pub(super) fn check_uri(text: &str, any_scheme: bool) -> Result<(), &'static str> {
    if text.len() > MAX_URI_BYTES {
        return Err("must not be longer than 2048 bytes");
    }
    if text.contains('#') {
        return Err("must not contain a fragment");
    }
    check_uri_characters(text)?;
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("must be a URL that begins with a scheme, such as https://; put it before the host");
    };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !scheme_ok {
        return Err("must begin with a scheme of letters, digits and + - . before ://");
    }
    if !any_scheme && !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err("must be an http or https URI");
    }
    check_authority(rest.split(['/', '?']).next().unwrap_or_default())
}

/// Permits the characters of RFC 3986 only, and nothing that decodes to a control character.
fn check_uri_characters(text: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&b);
    if !text.bytes().all(allowed) {
        return Err("must contain only URI characters; percent-encode others");
    }
    for escape in text.split('%').skip(1) {
        let Some(Ok(byte)) = escape.get(..2).map(|digits| u8::from_str_radix(digits, 16)) else {
            return Err("must have two hexadecimal digits after each %");
        };
        if byte.is_ascii_control() {
            return Err("must not contain control characters, percent-encoded or not");
        }
    }
    Ok(())
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    if authority.contains('@') {
        return Err("must not contain user information; put it into the credential");
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, after)) => {
            literal.parse::<Ipv6Addr>().map_err(|_| "must have an IPv6 address between brackets")?;
            (None, after.strip_prefix(':').or_else(|| after.is_empty().then_some("443")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(authority), Some("443")),
        },
    };
    if let Some(host) = host {
        check_host(host).map_err(|_| "must have a host name or an IP address after ://")?;
    }
    let port_ok = port
        .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0));
    if port_ok { Ok(()) } else { Err("must have a port from 1 to 65535, or no port") }
}

/// Checks that a path stays below the directory that it is joined to, on file systems and object stores.
pub(super) fn check_relative_path(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_PATH_BYTES {
        return Err("must not be longer than 400 bytes");
    }
    let segment_ok = |segment: &str| {
        (1..=MAX_SEGMENT_CHARS).contains(&segment.chars().count())
            && segment != "."
            && segment != ".."
            && !segment.contains(|c: char| c == '\\' || c.is_control())
    };
    if text.split('/').all(segment_ok) {
        Ok(())
    } else {
        Err("must be a relative path: segments of 1 to 120 characters separated by /, none of them . or .., without \\")
    }
}
