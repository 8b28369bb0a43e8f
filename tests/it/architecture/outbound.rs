//! Where connections are opened: in the dialer, and by the clients of our own database, telemetry collector, admin
//! listener and API.

use super::{module, source};

/// Code that opens connections, resolves names or builds clients that do, with the only files that may contain it.
const CONNECTING: &[(&str, &[&str])] = &[
    ("TcpStream::connect", &["dialer/network.rs"]),
    ("TcpSocket", &[]),
    ("UdpSocket", &[]),
    ("UnixStream::connect", &[]),
    ("UnixDatagram", &[]),
    ("to_socket_addrs", &["dialer/resolver.rs"]),
    ("lookup_host", &[]),
    ("Client::builder", &["dialer/http.rs"]),
    ("ClientBuilder::", &[]),
    ("reqwest::blocking", &[]),
    ("reqwest::get", &[]),
    // `outflow runs follow` calls the server that its user names, `outflow healthcheck` its own.
    ("transport::Endpoint", &["grpc/client.rs", "grpc/health.rs"]),
    ("SpanExporter::", &["telemetry/traces.rs"]),
    // russh: `connect_stream` takes a connection of the dialer.
    ("client::connect(", &[]),
];

/// Constructors of clients that connect by themselves unless a file also contains the second text, which gives them
/// connections of the dialer.
const NEEDS_DIALER: &[(&str, &str)] = &[
    ("AmazonS3Builder::", ".with_http_connector("),
    ("GoogleCloudStorageBuilder::", ".with_http_connector("),
    ("MicrosoftAzureBuilder::", ".with_http_connector("),
    ("HttpBuilder::", ".with_http_connector("),
    ("PgConnectOptions::", ".socket("),
];

/// The client of our own database.
const DATABASE: &str = "store/postgres/settings.rs";

/// Every file of the product with its code, without tests.
fn code() -> impl Iterator<Item = (String, String)> {
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    source().into_iter().filter(move |(path, _)| !is_test(path)).map(|(path, text)| {
        let code = text.split_once("#[cfg(test)]\nmod tests {").map_or(text.as_str(), |(code, _)| code).to_owned();
        (path, code)
    })
}

#[test]
fn connections_are_opened_by_the_dialer_alone() {
    for (text, permitted) in CONNECTING {
        let files: Vec<_> = code().filter(|(_, code)| code.contains(text)).map(|(path, _)| path).collect();
        assert_eq!(files, *permitted, "{text}");
    }
}

#[test]
fn clients_get_connections_of_the_dialer() {
    let clients = |constructor: &'static str| code().filter(move |(_, code)| code.contains(constructor));
    for (constructor, dialer) in NEEDS_DIALER {
        for (path, code) in clients(constructor).filter(|(path, _)| path != DATABASE) {
            assert!(code.contains(dialer), "{path} contains {constructor} without {dialer}");
        }
    }
    let database: Vec<_> =
        clients("PgConnectOptions::").map(|(path, _)| path).filter(|path| module(path) == "store").collect();
    assert_eq!(database, [DATABASE]);
}
