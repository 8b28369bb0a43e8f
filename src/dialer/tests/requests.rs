//! HTTP: redirects, TLS, allowances of ports, the operator's URLs, and errors.

use std::time::Duration;

use reqwest::{Method, Request, StatusCode, Url};

use super::*;
use crate::model::FailureCode;

async fn get(client: &HttpClient, url: &str) -> Result<reqwest::Response, DialError> {
    client.execute(client.get(url).build().unwrap()).await
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Untouched::bind("127.0.0.1:0").await;
    let location = format!("https://127.0.0.1:{}/", target.port());
    let server = Server::start(move |_| redirect_to(&location)).await;
    let client = server.network().http_client(server.options()).unwrap();
    for request in [client.get(server.url("/")), client.post(server.url("/")).body("rows"), client.put(server.url("/"))]
    {
        let response = client.execute(request.build().unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    }
    assert_eq!(server.connections(), 1, "the connection is reused");
    target.assert().await;
}

#[tokio::test]
async fn each_new_connection_is_checked() {
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let target = Untouched::bind(&format!("127.0.0.1:{}", server.address.port())).await;
    let (resolver, lookups) = rebinding(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2", "127.0.0.1"]]);
    let client = network(&[server.address], resolver).http_client(server.options()).unwrap();
    assert_eq!(get(&client, &server.url("/")).await.unwrap().status(), StatusCode::OK);
    for lookup in [2, 3, 4] {
        let error = get(&client, &server.url("/")).await.unwrap_err();
        assert!(matches!(error, DialError::Forbidden { .. }), "{error}");
        assert_eq!(lookups.load(Ordering::SeqCst), lookup);
    }
    assert_eq!(server.connections(), 1);
    target.assert().await;
}

#[tokio::test]
async fn an_allowance_of_a_port_is_not_one_of_another_port() {
    let server = Server::start(|_| ok("")).await;
    let other = Untouched::bind("127.0.0.2:0").await;
    let client = server.network().http_client(server.options()).unwrap();
    assert!(get(&client, &server.url("/")).await.is_ok());
    for host in [NAME, "127.0.0.2", "2130706434"] {
        let error = get(&client, &format!("https://{host}:{}/", other.port())).await.unwrap_err();
        assert!(matches!(error, DialError::Forbidden { .. }), "{error}");
    }
    assert!(get(&client, &server.url("/")).await.is_ok());
    assert_eq!(server.connections(), 1);
    other.assert().await;
}

#[tokio::test]
async fn only_the_client_sends_requests() {
    let server = Server::start(|_| ok("")).await;
    let client = server.network().http_client(server.options()).unwrap();
    assert!(client.get(server.url("/")).send().await.is_err());
    let url = format!("https://127.0.0.2:{}/", server.address.port());
    assert!(client.post(url).send().await.is_err());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn plaintext_is_refused() {
    let target = Untouched::bind("127.0.0.2:0").await;
    let address = target.0.local_addr().unwrap();
    let client = network(&[address], resolver([])).http_client(HttpOptions::default()).unwrap();
    for scheme in ["http", "ws", "ftp"] {
        let error = get(&client, &format!("{scheme}://{address}/")).await.unwrap_err();
        assert!(matches!(error, DialError::NotHttps { .. }), "{error}");
        assert_eq!(error.code(), FailureCode::AddressForbidden);
    }
    target.assert().await;
}

#[tokio::test]
async fn certificates_are_verified_against_the_right_authorities() {
    let (server, other) = (Server::start(|_| ok("")).await, Server::start(|_| ok("")).await);
    let plain = Server::start_plain(|_| ok("")).await;
    let tls_failed = async |client: HttpClient, url: String| {
        let error = get(&client, &url).await.unwrap_err();
        assert!(matches!(error, DialError::Tls { .. }), "{error}");
        assert_eq!(error.code(), FailureCode::TlsFailed);
    };
    let client = |options| server.network().http_client(options).unwrap();
    tls_failed(client(HttpOptions::default()), server.url("/")).await;
    tls_failed(client(other.options()), server.url("/")).await;
    tls_failed(client(server.options()), format!("https://{}/", server.address)).await;
    tls_failed(plain.network().http_client(server.options()).unwrap(), plain.url("/")).await;
    assert!(get(&client(server.options()), &server.url("/")).await.is_ok());
    let bad = HttpOptions { root_certificates: Some(b"text".to_vec()), ..HttpOptions::default() };
    assert!(matches!(server.network().http_client(bad), Err(DialError::Authorities)));
}

#[tokio::test]
async fn authorities_of_the_operator_are_trusted_in_addition() {
    let (server, other) = (Server::start(|_| ok("")).await, Server::start(|_| ok("")).await);
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let dialer = |authorities| {
        let settings = DialerSettings { authorities: Some(authorities), ..settings(&["*=127.0.0.2".to_owned()]) };
        Dialer::with_resolver(settings, resolver([(NAME, &["127.0.0.2"])]))
    };
    let network = dialer(file("ca.pem", &server.certificate)).unwrap().network(&acme());
    assert_eq!(network.authorities_pem(), server.certificate.as_bytes());
    for options in [HttpOptions::default(), other.options()] {
        assert!(get(&network.http_client(options).unwrap(), &server.url("/")).await.is_ok());
    }
    let only_other = network.http_client(other.options()).unwrap();
    assert!(get(&only_other, &other.url("/")).await.is_ok());
    assert!(get(&network.http_client(HttpOptions::default()).unwrap(), &other.url("/")).await.is_err());
    assert!(matches!(dialer(directory.path().join("none")), Err(AuthoritiesError::Unreadable(..))));
    let damaged = server.certificate.replace('M', "N");
    for text in ["", "text", &damaged] {
        assert!(matches!(dialer(file("bad.pem", text)), Err(AuthoritiesError::Invalid(_))), "{text}");
    }
}

#[tokio::test]
async fn the_operators_url_is_reached_whatever_its_address_is() {
    let server = Server::start_plain(|_| ok("keys")).await;
    let other = Untouched::bind("127.0.0.2:0").await;
    let url = |port: u16| Url::parse(&format!("http://127.0.0.2:{port}/keys")).unwrap();
    let client = Dialer::default().operator_client(&url(server.address.port()), HttpOptions::default()).unwrap();
    let response = get(&client, url(server.address.port()).as_str()).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "keys");
    let error = get(&client, url(other.port()).as_str()).await.unwrap_err();
    assert!(matches!(error, DialError::Forbidden { .. }), "{error}");
    let secure = Url::parse(&format!("https://{}/", server.address)).unwrap();
    let client = Dialer::default().operator_client(&secure, HttpOptions::default()).unwrap();
    let error = get(&client, url(server.address.port()).as_str()).await.unwrap_err();
    assert!(matches!(error, DialError::NotHttps { .. }), "{error}");
    other.assert().await;
}

#[tokio::test]
async fn errors_name_the_host_and_not_the_url() {
    let server = Server::start(|_| Vec::new()).await;
    let client = server.network().http_client(server.options()).unwrap();
    let error = get(&client, &server.url("/path?token=secret")).await.unwrap_err();
    assert!(matches!(&error, DialError::Exchange { .. }), "{error}");
    assert!(error.to_string().starts_with("the request to service.test failed: "), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let closed = TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap();
    let client = network(&[closed], resolver([(NAME, &["127.0.0.2"])])).http_client(server.options()).unwrap();
    for (host, expected) in
        [(NAME, "cannot connect to service.test: "), ("unknown.test", "cannot resolve unknown.test: ")]
    {
        let error = get(&client, &format!("https://{host}:{}/?token=secret", closed.port())).await.unwrap_err();
        assert_eq!(error.code(), FailureCode::DestinationUnreachable);
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_response_that_does_not_arrive_or_end_times_out() {
    let silent = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()).await;
    let options = HttpOptions { timeout: Some(Duration::from_millis(300)), ..server.options() };
    let address = silent.local_addr().unwrap();
    let client = network(&[address], resolver([])).http_client(options.clone()).unwrap();
    let error = get(&client, &format!("https://{address}/")).await.unwrap_err();
    let is_timeout = |error: &DialError| {
        let (DialError::Exchange { cause, .. } | DialError::Connect { cause, .. }) = error else { return false };
        cause.kind() == io::ErrorKind::TimedOut
    };
    assert!(is_timeout(&error), "{error}");
    assert_eq!(error.code(), FailureCode::DestinationUnreachable);
    let client = server.network().http_client(options).unwrap();
    let body = get(&client, &server.url("/")).await.unwrap().bytes().await;
    let error = DialError::from_reqwest(NAME, &body.unwrap_err());
    assert!(is_timeout(&error), "{error}");
}

#[tokio::test]
async fn the_clients_of_a_few_ports_are_kept() {
    let mut servers = Vec::new();
    for _ in 0..6 {
        servers.push(Server::start_plain(|_| ok("")).await);
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let client = network(&addresses, resolver([])).http_client(HttpOptions::default()).unwrap();
    for server in servers.iter().chain(&servers) {
        let request = Request::new(Method::GET, Url::parse(&format!("https://{}/", server.address)).unwrap());
        // The certificates do not matter: the connection is opened, and TLS fails.
        assert!(matches!(client.execute(request).await, Err(DialError::Tls { .. })));
    }
    assert!(servers.iter().all(|server| server.connections() == 2));
}
