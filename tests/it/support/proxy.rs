//! A TCP proxy that can stop forwarding without closing connections, as a failed network does.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to a server for as long as the test runs.
pub struct Proxy {
    /// The address that it listens on.
    pub address: SocketAddr,
    network: watch::Sender<Network>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Network {
    /// Connections of an earlier generation are no longer forwarded.
    generation: u64,
    /// Whether new connections are forwarded.
    forwards: bool,
}

impl Proxy {
    /// Starts a proxy to the server of that address.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (network, receiver) = watch::channel(Network { generation: 0, forwards: true });
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(forward(client, server.clone(), receiver.clone()));
            }
        });
        Self { address, network }
    }

    /// Stops forwarding, for existing and for new connections.
    pub fn stop_forwarding(&self) {
        self.start_generation(false);
    }

    /// Forwards new connections again; existing connections stay silent.
    pub fn resume_forwarding(&self) {
        self.start_generation(true);
    }

    fn start_generation(&self, forwards: bool) {
        self.network.send_modify(|network| *network = Network { generation: network.generation + 1, forwards });
    }
}

async fn forward(mut client: TcpStream, server: String, mut network: watch::Receiver<Network>) {
    let accepted = *network.borrow_and_update();
    if accepted.forwards {
        let mut server = TcpStream::connect(server).await.expect("the server listens");
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = network.wait_for(|network| network.generation != accepted.generation) => {}
        }
        // Both sockets stay open: the peers see no error.
        std::future::pending::<()>().await;
        drop(server);
    }
    std::future::pending::<()>().await;
    drop(client);
}
