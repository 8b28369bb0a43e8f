//! A TCP proxy that ends all connections after a number of bytes, and refuses further ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to a server until it cuts them.
pub struct CutProxy {
    /// The address that it listens on.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    /// Bytes that clients have sent.
    sent: AtomicU64,
    /// The number of bytes after which connections are cut.
    limit: AtomicU64,
    is_cut: watch::Sender<bool>,
}

impl CutProxy {
    /// Starts a proxy to a server.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sent, limit) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let shared = Arc::new(Shared { server, sent, limit, is_cut: watch::Sender::new(false) });
        let forwarding = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(forward(client, Arc::clone(&forwarding)));
            }
        });
        Self { address, shared }
    }

    /// Cuts connections when clients have sent that many bytes from now on.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.limit.store(self.sent() + bytes, Ordering::SeqCst);
    }

    /// Forwards new connections again.
    pub fn heal(&self) {
        self.shared.limit.store(u64::MAX, Ordering::SeqCst);
        self.shared.is_cut.send_replace(false);
    }

    /// Bytes that clients have sent.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, shared: Arc<Shared>) {
    let mut is_cut = shared.is_cut.subscribe();
    if *is_cut.borrow() {
        return;
    }
    let server = TcpStream::connect(shared.server).await.expect("the server listens");
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let send = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            let before = shared.sent.fetch_add(length as u64, Ordering::SeqCst);
            let left = shared.limit.load(Ordering::SeqCst).saturating_sub(before);
            let length = usize::try_from(left).map_or(length, |left| length.min(left));
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            if before + length as u64 >= shared.limit.load(Ordering::SeqCst) {
                shared.is_cut.send_replace(true);
                return;
            }
        }
    };
    let receive = async { copy(&mut from_server, &mut to_client).await };
    tokio::select! {
        () = send => {}
        _ = receive => {}
        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
    }
}
