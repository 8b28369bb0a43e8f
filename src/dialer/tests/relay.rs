//! Relays: forwarding, their limit, their end, and refused addresses.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::*;

/// Whether a connection was opened or has ended, as an echoing listener saw it.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Opened,
    Ended,
}

/// Echoes what it receives.
async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<Event>) {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (events, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let events = events.clone();
            tokio::spawn(async move {
                let _ = events.send(Event::Opened);
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = events.send(Event::Ended);
            });
        }
    });
    (address, received)
}

fn socket(relay: &Relay, port: u16) -> PathBuf {
    relay.directory().join(format!(".s.PGSQL.{port}"))
}

async fn round_trip(stream: &mut UnixStream, text: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    let mut received = vec![0; text.len()];
    stream.read_exact(&mut received).await?;
    Ok(received)
}

#[tokio::test]
async fn a_relay_forwards_in_both_directions_until_it_is_dropped() {
    let (address, mut events) = echo().await;
    let network = network(&[address], resolver([(NAME, &["127.0.0.2"])]));
    let relay = network.relay(NAME, address.port()).await.unwrap();
    let (directory, socket) = (relay.directory().to_owned(), socket(&relay, address.port()));
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let mut first = UnixStream::connect(&socket).await.unwrap();
    let mut second = UnixStream::connect(&socket).await.unwrap();
    let large = vec![b'x'; 1 << 16];
    for stream in [&mut first, &mut second] {
        assert_eq!(round_trip(stream, &large).await.unwrap(), large);
    }
    // The end of one direction reaches the other side, and what that side sends afterwards still arrives.
    first.write_all(b"last").await.unwrap();
    first.shutdown().await.unwrap();
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
    drop(relay);
    assert!(!directory.exists());
    assert_eq!(second.read(&mut [0]).await.unwrap_or(0), 0, "the connection has ended");
    assert!(UnixStream::connect(&socket).await.is_err());
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(events.recv().await.unwrap());
    }
    assert_eq!(seen.iter().filter(|event| **event == Event::Opened).count(), 2, "the first connection is used");
}

#[tokio::test]
async fn a_relay_has_a_limited_number_of_connections() {
    let (address, mut events) = echo().await;
    let relay = network(&[address], resolver([])).relay("127.0.0.2", address.port()).await.unwrap();
    let socket = socket(&relay, address.port());
    let mut streams = Vec::new();
    for _ in 0..MAX_RELAYED_CONNECTIONS {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        assert_eq!(round_trip(&mut stream, b"open").await.unwrap(), b"open");
        streams.push(stream);
    }
    let mut waiting = UnixStream::connect(&socket).await.unwrap();
    waiting.write_all(b"last").await.unwrap();
    drop(streams.pop());
    let mut received = [0; 4];
    waiting.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"last");
    for _ in 0..MAX_RELAYED_CONNECTIONS {
        assert_eq!(events.recv().await, Some(Event::Opened));
    }
    assert_eq!((events.recv().await, events.recv().await), (Some(Event::Ended), Some(Event::Opened)));
}

#[tokio::test]
async fn each_connection_of_a_relay_is_checked() {
    let (address, _events) = echo().await;
    let target = Untouched::bind(&format!("127.0.0.1:{}", address.port())).await;
    let (resolver, lookups) = rebinding(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let network = network(&[address], resolver);
    let relay = network.relay(NAME, address.port()).await.unwrap();
    let socket = socket(&relay, address.port());
    let mut first = UnixStream::connect(&socket).await.unwrap();
    assert_eq!(round_trip(&mut first, b"first").await.unwrap(), b"first");
    let mut second = UnixStream::connect(&socket).await.unwrap();
    assert!(round_trip(&mut second, b"second").await.is_err());
    assert_eq!(lookups.load(Ordering::SeqCst), 2);
    assert!(matches!(network.relay(NAME, address.port()).await, Err(DialError::Forbidden { .. })));
    target.assert().await;
}

#[tokio::test]
async fn a_relay_to_what_does_not_accept_is_an_error() {
    let closed = TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap();
    let network = network(&[closed], resolver([]));
    assert!(matches!(network.relay("127.0.0.2", closed.port()).await, Err(DialError::Connect { .. })));
}
