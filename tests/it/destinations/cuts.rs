//! A TCP proxy that cuts connections after a number of bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to a server. The first budget of bytes counts for all connections and both directions together.
/// When it is used up, all connections are closed, and the next budget counts. Without a budget connections are forwarded
/// to their end.
pub struct CuttingProxy {
    pub address: SocketAddr,
    budgets: Arc<Budgets>,
}

struct Budgets {
    left: Mutex<VecDeque<usize>>,
    /// How many were used up.
    cuts: watch::Sender<usize>,
}

impl CuttingProxy {
    /// Starts a proxy.
    pub async fn start(server: SocketAddr, budgets: impl IntoIterator<Item = usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let left = Mutex::new(budgets.into_iter().collect());
        let budgets = Arc::new(Budgets { left, cuts: watch::Sender::new(0) });
        let shared = Arc::clone(&budgets);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                let (budgets, cuts) = (Arc::clone(&shared), shared.cuts.subscribe());
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await.expect("the server listens");
                    forward(client, server, &budgets, cuts).await;
                });
            }
        });
        Self { address, budgets }
    }

    /// How many budgets were used up.
    pub fn cuts(&self) -> usize {
        *self.budgets.cuts.borrow()
    }
}

impl Budgets {
    /// Takes bytes for a connection that was opened after a number of cuts. Returns how many it may send, and whether it
    /// goes on after them.
    fn take(&self, count: usize, opened_after: usize) -> (usize, bool) {
        let mut left = self.left.lock();
        if *self.cuts.borrow() != opened_after {
            return (0, false);
        }
        match left.front_mut() {
            None => (count, true),
            Some(budget) if count < *budget => {
                *budget -= count;
                (count, true)
            }
            Some(budget) => {
                let last = *budget;
                left.pop_front();
                self.cuts.send_modify(|cuts| *cuts += 1);
                (last, false)
            }
        }
    }
}

/// Forwards until one side ends, or until the budget of all connections is used up.
async fn forward(mut client: TcpStream, mut server: TcpStream, budgets: &Budgets, mut cuts: watch::Receiver<usize>) {
    let opened_after = *cuts.borrow();
    let (mut from_client, mut from_server) = (vec![0; 4096], vec![0; 4096]);
    loop {
        let (read, from, to) = tokio::select! {
            biased;
            _ = cuts.changed() => return,
            read = client.read(&mut from_client) => (read, &from_client, &mut server),
            read = server.read(&mut from_server) => (read, &from_server, &mut client),
        };
        let Ok(count @ 1..) = read else { return };
        let (sent, goes_on) = budgets.take(count, opened_after);
        if to.write_all(&from[..sent]).await.is_err() || !goes_on {
            return;
        }
    }
}
