//! TCP connections: allowances, changing answers of a resolver, and timeouts.

use tokio::time::Instant;

use super::*;
use crate::model::FailureCode;

async fn listener(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn is_forbidden<T>(result: &Result<T, DialError>) -> bool {
    matches!(result, Err(DialError::Forbidden { .. }))
}

#[tokio::test]
async fn an_allowance_is_for_one_organization_and_port() {
    let (_permitted, permitted) = listener("127.0.0.2:0").await;
    let other_port = Untouched::bind("127.0.0.2:0").await;
    let other_address = Untouched::bind(&format!("127.0.0.3:{}", permitted.port())).await;
    let settings = settings(&[format!("acme=127.0.0.2:{}", permitted.port())]);
    let resolver = resolver([(NAME, &["127.0.0.2"]), ("other.test", &["127.0.0.3"])]);
    let dialer = Dialer::with_resolver(settings, resolver).unwrap();
    let acme = dialer.network(&acme());
    let other = dialer.network(&OrganizationId::parse("other").unwrap());
    for host in [NAME, "127.0.0.2", "0x7f.2"] {
        let stream = acme.connect(host, permitted.port()).await.unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(stream.peer_addr().unwrap(), permitted);
        assert!(is_forbidden(&other.connect(host, permitted.port()).await), "{host}");
        assert!(is_forbidden(&acme.connect(host, other_port.port()).await), "{host}");
    }
    for host in ["other.test", "127.0.0.3", "::ffff:127.0.0.2"] {
        assert!(is_forbidden(&acme.connect(host, permitted.port()).await), "{host}");
    }
    other_port.assert().await;
    other_address.assert().await;
}

#[tokio::test]
async fn an_allowance_without_organization_and_port_is_for_all() {
    let (_listener, address) = listener("127.0.0.2:0").await;
    let dialer = Dialer::with_resolver(settings(&["*=127.0.0.0/8".to_owned()]), resolver([])).unwrap();
    for organization in ["acme", "other"] {
        let network = dialer.network(&OrganizationId::parse(organization).unwrap());
        assert!(network.connect("127.0.0.2", address.port()).await.is_ok(), "{organization}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_for_each_connection_and_checked_each_time() {
    let (_permitted, permitted) = listener("127.0.0.2:0").await;
    let target = Untouched::bind(&format!("127.0.0.1:{}", permitted.port())).await;
    let (resolver, lookups) = rebinding(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2", "127.0.0.1"]]);
    let network = network(&[permitted], resolver);
    let stream = network.connect(NAME, permitted.port()).await.unwrap();
    assert_eq!((stream.peer_addr().unwrap(), lookups.load(Ordering::SeqCst)), (permitted, 1));
    for lookup in [2, 3, 4] {
        assert!(is_forbidden(&network.connect(NAME, permitted.port()).await));
        assert_eq!(lookups.load(Ordering::SeqCst), lookup);
    }
    target.assert().await;
}

#[tokio::test]
async fn addresses_are_tried_in_order() {
    let (_listener, address) = listener("127.0.0.3:0").await;
    let refusing = SocketAddr::new(IpAddr::from([127, 0, 0, 2]), address.port());
    let network = network(&[refusing, address], resolver([(NAME, &["127.0.0.2", "127.0.0.3"])]));
    let stream = network.connect(NAME, address.port()).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
}

#[tokio::test]
async fn what_does_not_accept_or_resolve_is_unreachable() {
    let (closed, address) = listener("127.0.0.2:0").await;
    drop(closed);
    let network = network(&[address], resolver([(NAME, &["127.0.0.2"]), ("empty.test", &[])]));
    let error = network.connect(NAME, address.port()).await.unwrap_err();
    assert!(matches!(&error, DialError::Connect { cause, .. } if cause.kind() == io::ErrorKind::ConnectionRefused));
    assert_eq!(error.code(), FailureCode::DestinationUnreachable);
    for name in ["unknown.test", "empty.test"] {
        let error = network.connect(name, address.port()).await.unwrap_err();
        assert!(matches!(error, DialError::Resolve { .. }), "{error}");
        assert_eq!(error.code(), FailureCode::DestinationUnreachable);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_times_out() {
    let network = network(&[], Resolver::new(|_| std::future::pending()));
    let start = Instant::now();
    let error = network.connect(NAME, 22).await.unwrap_err();
    assert!(matches!(&error, DialError::Connect { cause, .. } if cause.kind() == io::ErrorKind::TimedOut), "{error}");
    assert_eq!(start.elapsed().as_secs(), 10);
    let client = network.http_client(HttpOptions::default()).unwrap();
    let request = client.get(format!("https://{NAME}/")).build().unwrap();
    let (start, error) = (Instant::now(), client.execute(request).await.unwrap_err());
    assert!(matches!(&error, DialError::Connect { cause, .. } if cause.kind() == io::ErrorKind::TimedOut), "{error}");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn the_resolver_of_the_system_is_checked_too() {
    let target = Untouched::bind("127.0.0.1:0").await;
    let network = Dialer::default().network(&acme());
    assert!(is_forbidden(&network.connect("localhost", target.port()).await));
    target.assert().await;
}

#[tokio::test]
async fn the_operator_reaches_exactly_the_named_host_and_port() {
    let (_named, address) = listener("127.0.0.2:0").await;
    let other_port = Untouched::bind("127.0.0.2:0").await;
    let dialer = Dialer::with_resolver(settings(&[]), resolver([(NAME, &["127.0.0.2"])])).unwrap();
    let named = dialer.operator_network("Service.Test", address.port());
    assert!(named.connect(NAME, address.port()).await.is_ok());
    assert!(is_forbidden(&named.connect("127.0.0.2", address.port()).await));
    assert!(is_forbidden(&named.connect(NAME, other_port.port()).await));
    assert!(is_forbidden(&dialer.operator_network("not a host", address.port()).connect(NAME, address.port()).await));
    other_port.assert().await;
}
