//! A network that can fall silent: nothing is refused or closed, nothing comes through any more.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands before a server. It carries on for as long as the test runs.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    network: watch::Sender<Network>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Network {
    /// Connections of another age are lost.
    age: u64,
    /// Whether new ones get through.
    sound: bool,
}

impl Proxy {
    /// Before the server of that address.
    pub async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (network, seen) = watch::channel(Network { age: 0, sound: true });
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(carry(client, server.clone(), seen.clone()));
            }
        });
        Self { address, network }
    }

    /// From now on nothing comes through.
    pub fn fall_silent(&self) {
        self.network.send_modify(|network| *network = Network { age: network.age + 1, sound: false });
    }

    /// New connections get through again; those of before do not.
    pub fn heal(&self) {
        self.network.send_modify(|network| *network = Network { age: network.age + 1, sound: true });
    }
}

async fn carry(mut client: TcpStream, server: String, mut network: watch::Receiver<Network>) {
    let born = *network.borrow_and_update();
    if born.sound {
        let mut server = TcpStream::connect(server).await.expect("the server listens");
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = network.wait_for(|network| network.age != born.age) => {}
        }
        // Both sockets stay open.
        std::future::pending::<()>().await;
        drop(server);
    }
    std::future::pending::<()>().await;
    drop(client);
}
