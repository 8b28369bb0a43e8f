//! Parts of a URL of PostgreSQL.

use super::error::PostgresUrlError;

/// A host, or the directory of a socket.
pub fn check_host(host: String) -> Result<Option<String>, PostgresUrlError> {
    if host.contains(',') {
        return Err(PostgresUrlError::SeveralHosts);
    }
    let is_name = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
    match host.as_str() {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(host)),
        name if name.contains(':') && name.parse::<std::net::Ipv6Addr>().is_err() => Err(PostgresUrlError::Host),
        name if is_name(name) => Ok(Some(host)),
        _ => Err(PostgresUrlError::Host),
    }
}

/// A port other than 0.
pub fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

/// Decodes the escapes of a part of a URL.
pub fn decode(text: &str) -> Result<String, PostgresUrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
            let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                return Err(PostgresUrlError::Percent);
            };
            decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).map_err(|_| PostgresUrlError::Percent)
}
