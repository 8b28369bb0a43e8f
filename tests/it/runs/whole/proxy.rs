//! A TCP proxy that holds all connections when a number of bytes has passed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::far_side::{Interruption, Point};

/// Forwards connections to a server. When it has forwarded the bytes of the point, in both directions and of all connections
/// together, it forwards nothing more until it is released, and then ends the connections that it held.
pub struct HoldingProxy {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Bytes of a commit.
    commit_bytes: u64,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    forwarded: AtomicU64,
    limit: AtomicU64,
    held: watch::Sender<bool>,
    releases: watch::Sender<u64>,
    resumptions: watch::Sender<u64>,
}

impl HoldingProxy {
    /// Starts a proxy to a server at which the last `commit_bytes` of a delivery are those of its commit.
    pub async fn start(server: SocketAddr, commit_bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server,
            forwarded: AtomicU64::new(0),
            limit: AtomicU64::new(u64::MAX),
            held: watch::Sender::new(false),
            releases: watch::Sender::new(0),
            resumptions: watch::Sender::new(0),
        });
        let forwarding = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(forward(client, Arc::clone(&forwarding)));
            }
        });
        Self { address, commit_bytes, shared }
    }
}

#[async_trait]
impl Interruption for HoldingProxy {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
    fn arm(&self, point: Option<Point>, total: u64) {
        let share = |bytes: u64, share: f64| (bytes as f64 * share) as u64;
        let limit = match point {
            None => u64::MAX,
            Some(Point::Anywhere(part)) => share(total, part),
            Some(Point::Commit(part)) => total.saturating_sub(self.commit_bytes) + share(self.commit_bytes, part),
        };
        self.shared.held.send_replace(false);
        self.shared.forwarded.store(0, Ordering::SeqCst);
        self.shared.limit.store(limit, Ordering::SeqCst);
    }

    async fn reached(&self) {
        self.shared.held.subscribe().wait_for(|held| *held).await.expect("the proxy runs");
    }

    fn release(&self) {
        self.shared.limit.store(u64::MAX, Ordering::SeqCst);
        self.shared.releases.send_modify(|releases| *releases += 1);
    }

    fn resume(&self) {
        self.shared.limit.store(u64::MAX, Ordering::SeqCst);
        self.shared.resumptions.send_modify(|resumptions| *resumptions += 1);
    }

    fn counted(&self) -> Option<u64> {
        Some(self.shared.forwarded.load(Ordering::SeqCst))
    }
}

async fn forward(client: TcpStream, shared: Arc<Shared>) {
    let mut releases = shared.releases.subscribe();
    let before = *releases.borrow_and_update();
    let Ok(server) = TcpStream::connect(shared.server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, &shared) => {}
        () = copy(from_server, to_client, &shared) => {}
        _ = releases.wait_for(|releases| *releases > before) => {}
    }
}

/// Copies until an end, and waits at the limit until it may go on.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, shared: &Shared) {
    let mut resumptions = shared.resumptions.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let before = shared.forwarded.fetch_add(length as u64, Ordering::SeqCst);
        let left = shared.limit.load(Ordering::SeqCst).saturating_sub(before);
        let sent = usize::try_from(left).map_or(length, |left| length.min(left));
        if to.write_all(&buffer[..sent]).await.is_err() {
            return;
        }
        if sent < length {
            shared.held.send_replace(true);
            if resumptions.changed().await.is_err() || to.write_all(&buffer[sent..length]).await.is_err() {
                return;
            }
        }
    }
}
