//! Addresses and topics of Apache Kafka.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::text::Read;
use crate::catalog::address::{ascii_host, check_host};

/// Maximum number of characters of a topic.
const MAX_TOPIC_CHARS: usize = 249;

/// Checks the address of a broker. The security protocol before it, as listeners have it, is dropped. The
/// host is written as in other fields: an internationalized name in ASCII, without a final period.
pub(super) fn bootstrap_server(text: &str) -> Read<'_> {
    let address = match text.split_once("://").map(|(protocol, address)| (protocol.to_ascii_uppercase(), address)) {
        Some((protocol, address)) => match protocol.as_str() {
            "SSL" | "SASL_SSL" => address,
            "PLAINTEXT" | "SASL_PLAINTEXT" => {
                return Err("is a listener without TLS; enter the address of a listener with TLS".into());
            }
            _ => return Err("must be host:port, without a scheme".into()),
        },
        None => text,
    };
    let missing = "must be host:port, such as broker-1.example.com:9093, with an IPv6 address in brackets";
    let (host, port) = address.rsplit_once(':').ok_or(missing)?;
    let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(literal) => {
            literal.and_then(|literal| literal.parse::<Ipv6Addr>().ok()).ok_or(missing)?;
            Cow::Borrowed(host)
        }
        None if address.parse::<Ipv6Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok() => {
            return Err("is an IPv6 address without brackets; write it as [2001:db8::1]:9093".into());
        }
        None => {
            let host = ascii_host(host)?;
            check_host(&host).map_err(|_| missing)?;
            Cow::Owned(host)
        }
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_port {
        Ok(Cow::Owned(format!("{host}:{port}")))
    } else {
        Err("must have a port from 1 to 65535 after the host".into())
    }
}

/// Checks the name of a topic.
pub(super) fn check_topic(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if text.is_empty() || text.len() > MAX_TOPIC_CHARS || !text.bytes().all(allowed) {
        return Err("must be 1 to 249 letters, digits, periods, underscores and hyphens");
    }
    if matches!(text, "." | "..") {
        return Err("must be the name of a topic; Kafka does not permit . and ..");
    }
    Ok(())
}
