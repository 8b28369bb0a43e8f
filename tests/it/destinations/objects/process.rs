//! Servers in processes of their own.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::with_timeout;

/// A server, killed when dropped.
pub struct ServerProcess {
    child: Child,
    /// The address that it listens on.
    pub address: SocketAddr,
}

impl ServerProcess {
    /// Starts a server on a free port of `127.0.0.1`, and waits until it accepts connections.
    pub async fn start(command: impl FnOnce(SocketAddr) -> Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let mut command = command(address);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; tests/install.sh installs it"));
        let mut server = Self { child, address };
        with_timeout("the server listens", async {
            while TcpStream::connect(address).await.is_err() {
                assert!(server.child.try_wait().expect("its state").is_none(), "{command:?} ended");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        server
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
