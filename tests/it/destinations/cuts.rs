//! A TCP proxy that cuts connections after a number of bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to a server. Each connection has the next budget of bytes, in both directions together; when it is
/// used up, both sides are closed. Without a budget connections are forwarded to their end.
pub struct CuttingProxy {
    pub address: SocketAddr,
    budgets: Arc<Mutex<VecDeque<usize>>>,
    cuts: Arc<Mutex<usize>>,
}

impl CuttingProxy {
    /// Starts a proxy.
    pub async fn start(server: SocketAddr, budgets: impl IntoIterator<Item = usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let budgets = Arc::new(Mutex::new(budgets.into_iter().collect::<VecDeque<_>>()));
        let cuts = Arc::new(Mutex::new(0));
        let (shared, counter) = (Arc::clone(&budgets), Arc::clone(&cuts));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let (budget, counter) = (shared.lock().pop_front(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.expect("the server listens");
                    if forward(client, server, budget.unwrap_or(usize::MAX)).await {
                        *counter.lock() += 1;
                    }
                });
            }
        });
        Self { address, budgets, cuts }
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        *self.cuts.lock()
    }

    /// How many budgets are left.
    pub fn left(&self) -> usize {
        self.budgets.lock().len()
    }
}

/// Forwards until one side ends, or until the budget is used up. Returns whether that is why.
async fn forward(mut client: TcpStream, mut server: TcpStream, mut budget: usize) -> bool {
    let (mut from_client, mut from_server) = (vec![0; 4096], vec![0; 4096]);
    while budget > 0 {
        let copied = tokio::select! {
            read = client.read(&mut from_client) => copy(read, &from_client, &mut server, &mut budget).await,
            read = server.read(&mut from_server) => copy(read, &from_server, &mut client, &mut budget).await,
        };
        if !copied {
            return false;
        }
    }
    true
}

async fn copy(read: std::io::Result<usize>, from: &[u8], to: &mut TcpStream, budget: &mut usize) -> bool {
    let Ok(count @ 1..) = read else { return false };
    let sent = count.min(*budget);
    *budget -= sent;
    to.write_all(&from[..sent]).await.is_ok()
}
