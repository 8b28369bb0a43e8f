//! Which addresses are public. All others are refused unless the operator permits them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::AddressRange;

/// IPv4 addresses that are not public: the registry of special-purpose addresses of the IANA (RFC 6890), multicast, and
/// addresses of services of cloud platforms.
const REFUSED_V4: [AddressRange; 17] = [
    v4([0, 0, 0, 0], 8),        // this network; 0.0.0.0 reaches this host
    v4([10, 0, 0, 0], 8),       // private
    v4([100, 64, 0, 0], 10),    // shared by carrier-grade NAT; metadata of Alibaba Cloud
    v4([127, 0, 0, 0], 8),      // loopback
    v4([168, 63, 129, 16], 32), // platform services of Azure, with a public address
    v4([169, 254, 0, 0], 16),   // link-local; metadata of most clouds
    v4([172, 16, 0, 0], 12),    // private
    v4([192, 0, 0, 0], 24),     // protocol assignments; metadata of Oracle Cloud
    v4([192, 0, 2, 0], 24),     // documentation
    v4([192, 31, 196, 0], 24),  // AS112: answers of no host
    v4([192, 52, 193, 0], 24),  // AMT relays
    v4([192, 88, 99, 0], 24),   // 6to4 relays
    v4([192, 168, 0, 0], 16),   // private
    v4([198, 18, 0, 0], 15),    // benchmarking
    v4([198, 51, 100, 0], 24),  // documentation
    v4([203, 0, 113, 0], 24),   // documentation
    v4([224, 0, 0, 0], 3),      // multicast, reserved, broadcast
];

/// The only IPv6 addresses that are allocated as global unicast (RFC 4291). Outside of it are, among others, the
/// unspecified and the loopback address, IPv4-mapped and IPv4-compatible addresses, NAT64 (`64:ff9b::/96`,
/// `64:ff9b:1::/48`), discard-only, unique local, link-local, site-local and multicast addresses.
const GLOBAL_UNICAST: AddressRange = v6([0x2000, 0, 0], 3);

/// IPv6 addresses in [`GLOBAL_UNICAST`] that are not public.
const REFUSED_V6: [AddressRange; 5] = [
    v6([0x2001, 0, 0], 23),      // protocol assignments: Teredo, benchmarking, ORCHID
    v6([0x2001, 0x0db8, 0], 32), // documentation
    v6([0x2002, 0, 0], 16),      // 6to4, which holds an IPv4 address
    v6([0x3ffe, 0, 0], 16),      // the former 6bone
    v6([0x3fff, 0, 0], 20),      // documentation
];

const fn v4([a, b, c, d]: [u8; 4], prefix_length: u8) -> AddressRange {
    AddressRange::v4(Ipv4Addr::new(a, b, c, d), prefix_length)
}

const fn v6([a, b, c]: [u16; 3], prefix_length: u8) -> AddressRange {
    AddressRange::v6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix_length)
}

/// Whether an address is a public unicast address.
pub(super) fn is_public(address: IpAddr) -> bool {
    let is_in = |ranges: &[AddressRange]| ranges.iter().any(|range| range.contains(address));
    match address {
        IpAddr::V4(_) => !is_in(&REFUSED_V4),
        IpAddr::V6(_) => GLOBAL_UNICAST.contains(address) && !is_in(&REFUSED_V6),
    }
}
