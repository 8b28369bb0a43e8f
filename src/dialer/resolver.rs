//! Resolves host names.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// Maximum number of lookups at once. Each occupies a thread until the resolver of the system answers.
const MAX_LOOKUPS: usize = 64;

type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Resolves host names to addresses. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

impl Resolver {
    /// The resolver of the operating system.
    pub fn system() -> Self {
        let permits = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self::new(move |name| {
            let permits = Arc::clone(&permits);
            async move {
                let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
                let lookup = move || {
                    // A caller that times out does not end the lookup, so the lookup holds the permit.
                    let _permit = permit;
                    (name.as_str(), 0)
                        .to_socket_addrs()
                        .map(|found| found.map(|address: SocketAddr| address.ip()).collect())
                };
                tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
            }
        })
    }

    /// A resolver of tests.
    pub fn new<F>(lookup: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |name| Box::pin(lookup(name))))
    }

    pub(super) async fn look_up(&self, name: String) -> io::Result<Vec<IpAddr>> {
        (self.0)(name).await
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}
