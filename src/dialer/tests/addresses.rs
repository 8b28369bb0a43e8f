//! Addresses that are refused, in every spelling, as hosts of connections and URLs and as answers of a resolver.

use super::*;
use crate::dialer::address::is_public;

/// Hosts that are, or resolve to, addresses that are not public.
const REFUSED: [&str; 98] = [
    // Loopback, in the spellings that resolvers and URLs accept.
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "2130706433",
    "0x7f000001",
    "0X7F.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.0.0.0x1",
    "127.0x000000000000001",
    "１２７.0.0.1",
    "127。0。0。1",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "::ffff:127.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "0:0:0:0:0:ffff:7f00:1",
    "::127.0.0.1",
    "[::7f00:1]",
    // Unspecified, and "this network".
    "0.0.0.0",
    "0",
    "0x0",
    "0.0",
    "0.1.2.3",
    "::",
    "[::]",
    "::ffff:0.0.0.0",
    // Private.
    "10.0.0.1",
    "10.255.255.255",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "0xac100001",
    "192.168.0.1",
    "192.168.255.255",
    "0300.0250.0.1",
    "3232235521",
    "::ffff:10.0.0.1",
    "::ffff:192.168.0.1",
    "[::ffff:c0a8:1]",
    "::10.0.0.1",
    // Link-local and metadata of cloud platforms.
    "169.254.0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "169.254.170.2",
    "fd00:ec2::254",
    "[fd00:ec2::254]",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "fe80::1",
    "febf::1",
    // Shared, reserved, for documentation and benchmarks, multicast, broadcast.
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "198.18.0.1",
    "198.19.255.255",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "4294967295",
    // IPv6: unique local, site-local, multicast, for documentation, discarded, benchmarks, unallocated.
    "fc00::1",
    "fdff:ffff::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "2001:2::1",
    "4000::1",
    // IPv6 addresses that hold an IPv4 address, even a public one: mapped, NAT64, 6to4, Teredo.
    "::ffff:8.8.8.8",
    "64:ff9b::10.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1",
];

/// Public addresses, among them the neighbours of refused ranges.
const PUBLIC: [&str; 26] = [
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.114.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00::1",
];

fn is_forbidden(error: &DialError) -> bool {
    matches!(error, DialError::Forbidden { .. }) && error.code() == crate::model::FailureCode::AddressForbidden
}

#[tokio::test]
async fn refused_hosts_are_never_connected_to() {
    let listener = Untouched::bind("0.0.0.0:0").await;
    let port = listener.port();
    let network = network(&[], resolver([]));
    let client = network.http_client(HttpOptions::default()).unwrap();
    for host in REFUSED {
        let error = network.connect(host, port).await.err().unwrap_or_else(|| panic!("{host}"));
        assert!(is_forbidden(&error), "{host}: {error}");
        let authority =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let request = client.get(format!("https://{authority}:{port}/")).build().unwrap_or_else(|_| panic!("{host}"));
        let error = client.execute(request).await.err().unwrap_or_else(|| panic!("{host}"));
        assert!(is_forbidden(&error), "{host}: {error}");
    }
    listener.assert().await;
}

#[tokio::test]
async fn names_with_a_refused_address_are_never_connected_to() {
    let listener = Untouched::bind("0.0.0.0:0").await;
    let port = listener.port();
    let certificate = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap().cert.pem();
    let addresses = REFUSED.into_iter().filter_map(|host| host.parse::<IpAddr>().ok());
    let mut count = 0;
    for address in addresses {
        // Any refused address makes the name refused, wherever it is in the answer.
        let (public, refused) = (IpAddr::from([1, 0, 0, 0]), address);
        for answer in [vec![refused], vec![public, refused], vec![refused, public]] {
            let resolver = Resolver::new(move |_| {
                let answer = answer.clone();
                async move { Ok(answer) }
            });
            let network = network(&[], resolver);
            let root_certificates = Some(certificate.clone().into_bytes());
            let client = network.http_client(HttpOptions { root_certificates, ..HttpOptions::default() }).unwrap();
            let request = client.get(format!("https://{NAME}:{port}/")).build().unwrap();
            for error in [network.connect(NAME, port).await.err(), client.execute(request).await.err()] {
                assert!(error.as_ref().is_some_and(is_forbidden), "{address}: {error:?}");
            }
        }
        count += 1;
    }
    assert!(count >= 60, "{count} addresses");
    listener.assert().await;
}

#[test]
fn public_addresses_are_permitted() {
    for address in PUBLIC {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[tokio::test]
async fn what_is_no_host_is_not_resolved() {
    let resolver = Resolver::new(|name| async move { panic!("{name} was resolved") });
    let network = network(&[], resolver);
    let long = "a".repeat(254);
    for host in [
        "",
        " ",
        ".",
        "a b",
        "127.0.0.1/",
        "user@127.0.0.1",
        "host:22",
        "host#",
        "host?",
        "a\\b",
        "127.0.0.1\n",
        "%31%32%37.0.0.1",
        "[127.0.0.1",
        "[host]",
        "1.2.3.4.5",
        "256.0.0.1",
        "fe80::1%eth0",
        "\u{0}",
        &long,
    ] {
        let error = network.connect(host, 22).await.err();
        assert!(matches!(error, Some(DialError::Resolve { .. })), "{host}: {error:?}");
    }
}
