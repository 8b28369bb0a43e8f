//! Ranges of network addresses, and which of them the operator permits as destinations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::id::OrganizationId;

/// A range of IPv4 or IPv6 addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    base: IpAddr,
    prefix_length: u8,
}

/// Permits connections to addresses that are refused by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundAllowance {
    /// The organization; `None`: every organization.
    pub organization: Option<OrganizationId>,
    /// The addresses.
    pub range: AddressRange,
    /// The TCP port; `None`: every port.
    pub port: Option<u16>,
}

impl AddressRange {
    /// The IPv4 addresses that start with the same `prefix_length` bits as an address.
    pub const fn v4(base: Ipv4Addr, prefix_length: u8) -> Self {
        Self { base: IpAddr::V4(base), prefix_length }
    }

    /// The IPv6 addresses that start with the same `prefix_length` bits as an address.
    pub const fn v6(base: Ipv6Addr, prefix_length: u8) -> Self {
        Self { base: IpAddr::V6(base), prefix_length }
    }

    /// Parses a range in CIDR notation, or a single address. The bits after the prefix must be zero.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, prefix_length) = match text.split_once('/') {
            Some((base, length)) => (base, Some(length)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().ok()?;
        let bits = if base.is_ipv4() { 32 } else { 128 };
        let prefix_length = match prefix_length {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => bits,
        };
        let host_bits = match base {
            IpAddr::V4(base) => base.to_bits().checked_shl(u32::from(prefix_length)).unwrap_or(0) != 0,
            IpAddr::V6(base) => base.to_bits().checked_shl(u32::from(prefix_length)).unwrap_or(0) != 0,
        };
        (prefix_length <= bits && !host_bits).then_some(Self { base, prefix_length })
    }

    /// Whether an address is in the range. IPv4 addresses are not in ranges of IPv6 addresses, nor the reverse.
    pub fn contains(&self, address: IpAddr) -> bool {
        let length = u32::from(self.prefix_length);
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let differing = base.to_bits() ^ address.to_bits();
                differing.checked_shr(32_u32.saturating_sub(length)).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differing = base.to_bits() ^ address.to_bits();
                differing.checked_shr(128_u32.saturating_sub(length)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl OutboundAllowance {
    /// Parses `<organization|*>=<cidr>[:<port>]`. A range of IPv6 addresses that a port follows is in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (organization, target) = text.split_once('=')?;
        let organization = match organization.trim() {
            "*" => None,
            id => Some(OrganizationId::parse(id)?),
        };
        let (range, port) = split_port(target.trim())?;
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        (port != Some(0)).then_some(Self { organization, range: AddressRange::parse(range)?, port })
    }

    /// Whether it permits an organization to connect to an address and port.
    pub fn permits(&self, organization: &OrganizationId, address: IpAddr, port: u16) -> bool {
        self.organization.as_ref().is_none_or(|own| own == organization)
            && self.port.is_none_or(|own| own == port)
            && self.range.contains(address)
    }
}

/// Splits `10.0.0.0/8:443`, `[fd00::/8]:443` or `fd00::/8` into the range and the port.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (range, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return Some((range, port));
    }
    match text.split_once(':') {
        Some((range, port)) if !port.contains(':') => Some((range, Some(port))),
        _ => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(text: &str) -> OutboundAllowance {
        OutboundAllowance::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn permits(text: &str, organization: &str, address: &str, port: u16) -> bool {
        allowance(text).permits(&OrganizationId::parse(organization).unwrap(), address.parse().unwrap(), port)
    }

    #[test]
    fn ranges_contain_the_addresses_with_their_prefix() {
        for (range, address, contained) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "9.255.255.255", false),
            ("172.16.0.0/12", "172.31.0.1", true),
            ("172.16.0.0/12", "172.32.0.1", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fc00::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", false),
            ("fd00::1", "fd00::1", true),
            ("fd00::1", "fd00::2", false),
        ] {
            let parsed = AddressRange::parse(range).unwrap_or_else(|| panic!("{range}"));
            assert_eq!(parsed.contains(address.parse().unwrap()), contained, "{address} in {range}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/+8", "fd00::/129", "fd00::1/8", "host", "10/8"]
        {
            assert_eq!(AddressRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn allowances_are_for_an_organization_and_a_port() {
        assert!(permits("acme=10.0.0.0/8:443", "acme", "10.1.2.3", 443));
        assert!(!permits("acme=10.0.0.0/8:443", "acme", "10.1.2.3", 80));
        assert!(!permits("acme=10.0.0.0/8:443", "other", "10.1.2.3", 443));
        assert!(!permits("acme=10.0.0.0/8:443", "acme", "11.1.2.3", 443));
        assert!(permits("*=10.0.0.0/8", "other", "10.1.2.3", 22));
        assert!(permits("acme=[fd00::/8]:443", "acme", "fd12::1", 443));
        assert!(!permits("acme=[fd00::/8]:443", "acme", "fd12::1", 22));
        assert!(permits("acme=[fd00::/8]", "acme", "fd12::1", 22));
        assert!(permits("acme=fd00::/8", "acme", "fd12::1", 22));
        assert!(permits(" acme = 10.0.0.5:5432 ", "acme", "10.0.0.5", 5432));
    }

    #[test]
    fn what_is_no_allowance_is_refused() {
        for text in [
            "",
            "10.0.0.0/8",
            "=10.0.0.0/8",
            "Acme=10.0.0.0/8",
            "acme=",
            "acme=10.0.0.0/8:",
            "acme=10.0.0.0/8:0",
            "acme=10.0.0.0/8:65536",
            "acme=10.0.0.0/8:+1",
            "acme=10.0.0.0/8:https",
            "acme=10.0.0.1/8",
            "acme=[fd00::/8",
            "acme=[fd00::/8]443",
            "acme=[fd00::/8]:",
            "acme=minio.internal",
        ] {
            assert_eq!(OutboundAllowance::parse(text), None, "{text}");
        }
    }
}
