//! Hosts as users write them: names, and addresses in every spelling that resolvers accept.

use std::net::IpAddr;

use reqwest::Url;

/// Maximum length of a host name (RFC 1035, without the final dot).
const MAX_NAME_BYTES: usize = 253;

/// A host in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// An address.
    Address(IpAddr),
    /// A name in lower case, with international labels in Punycode.
    Name(String),
}

impl Host {
    /// Parses a host as URLs and resolvers do: `0x7f.1`, `017700000001`, `2130706433` and `127.0.0.1.` are addresses. An
    /// IPv6 address may be in brackets; it has no zone. `None`: it is neither a name nor an address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse() {
            return Some(Self::Address(address));
        }
        let separates = |c: char| "/\\@?#:%[]".contains(c) || c.is_whitespace() || c.is_control();
        if bare.is_some() || text.contains(separates) {
            return None;
        }
        let url = Url::parse(&format!("http://{text}/")).ok()?;
        let name = url.host_str().filter(|name| name.trim_end_matches('.').len() <= MAX_NAME_BYTES)?;
        match name.parse() {
            Ok(address) => Some(Self::Address(address)),
            Err(_) => Some(Self::Name(name.to_owned())),
        }
    }
}
