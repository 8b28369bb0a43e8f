//! What may be connected to, and TCP connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::address::is_public;
use super::certificates::{Authorities, AuthoritiesError};
use super::error::DialError;
use super::host::Host;
use super::resolver::Resolver;
use crate::model::{OrganizationId, OutboundAllowance};

/// The timeout of a connection, including the lookup of its host and, for HTTP, the TLS handshake.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The idle time after which the peer is asked whether it is there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
/// The time between two of these questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How many of them may have no answer.
const KEEPALIVE_RETRIES: u32 = 3;
/// Maximum number of addresses of a host that are tried. All of them are checked.
pub const MAX_ADDRESSES: usize = 8;

/// Opens the outbound connections of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dialer(Arc<Shared>);

/// What the operator configures.
#[derive(Clone, Debug, Default)]
pub struct DialerSettings {
    /// Addresses that are permitted although they are not public.
    pub allowances: Vec<OutboundAllowance>,
    /// A PEM file of certificate authorities that are trusted in addition to others.
    pub authorities: Option<PathBuf>,
}

#[derive(Debug)]
struct Shared {
    allowances: Vec<OutboundAllowance>,
    authorities: Authorities,
    resolver: Resolver,
}

/// What one organization, or the operator, may connect to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Network {
    shared: Arc<Shared>,
    scope: Scope,
}

#[derive(Clone, Debug)]
enum Scope {
    /// Public addresses, and those that the operator permits the organization.
    Organization(OrganizationId),
    /// One host and port that the operator named, whatever its addresses are.
    Named(Host, u16),
    /// Nothing: the operator named something that is not a host.
    Nothing,
    /// Every host and address, for a client that the operator configured.
    Any,
}

impl Dialer {
    /// A dialer with the resolver of the operating system.
    pub fn new(settings: DialerSettings) -> Result<Self, AuthoritiesError> {
        Self::with_resolver(settings, Resolver::system())
    }

    /// A dialer with another resolver, for tests.
    pub fn with_resolver(settings: DialerSettings, resolver: Resolver) -> Result<Self, AuthoritiesError> {
        let authorities = settings.authorities.as_deref().map(Authorities::read).transpose()?.unwrap_or_default();
        Ok(Self(Arc::new(Shared { allowances: settings.allowances, authorities, resolver })))
    }

    /// What connections of an organization may reach.
    pub fn network(&self, organization: &OrganizationId) -> Network {
        Network { shared: Arc::clone(&self.0), scope: Scope::Organization(organization.clone()) }
    }

    /// Exactly the host and port that the operator named. Their addresses are not checked.
    pub fn operator_network(&self, host: &str, port: u16) -> Network {
        let scope = Host::parse(host).map_or(Scope::Nothing, |host| Scope::Named(host, port));
        Network { shared: Arc::clone(&self.0), scope }
    }

    /// Every host, for a client that the operator configured and that finds its servers itself: the endpoint of an object
    /// store, and what gives the process an identity there.
    pub(super) fn unrestricted_network(&self) -> Network {
        Network { shared: Arc::clone(&self.0), scope: Scope::Any }
    }
}

impl Default for Dialer {
    /// A dialer that permits public addresses alone, with the resolver of the operating system.
    fn default() -> Self {
        let (allowances, authorities) = (Vec::new(), Authorities::default());
        Self(Arc::new(Shared { allowances, authorities, resolver: Resolver::system() }))
    }
}

impl Network {
    /// Opens a TCP connection to a permitted address of `host`. Every address of the host must be permitted. The addresses
    /// are tried in order, within 10 s in total.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let connected = timeout_at(deadline, async {
            let addresses = self.resolve(host, port).await?;
            let stream = connect_in_order(&addresses, deadline).await;
            stream.map_err(|cause| DialError::Connect { host: host.to_owned(), cause })
        });
        connected.await.unwrap_or_else(|_| Err(DialError::Connect { host: host.to_owned(), cause: timed_out() }))
    }

    /// The certificate authorities that the operator configured, in PEM, for libraries that do TLS themselves; empty: none.
    pub fn authorities_pem(&self) -> &[u8] {
        &self.shared.authorities.pem
    }

    /// The certificate authorities that the operator configured.
    pub(super) fn authorities(&self) -> &Authorities {
        &self.shared.authorities
    }

    /// Resolves a host and checks all its addresses; at most [`MAX_ADDRESSES`] of them are returned, and at least one.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let failed = |cause| DialError::Resolve { host: host.to_owned(), cause };
        let parsed = Host::parse(host).ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidInput)))?;
        self.check_target(host, &parsed, port)?;
        let addresses = match parsed {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.shared.resolver.look_up(name).await.map_err(failed)?,
        };
        if addresses.is_empty() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses")));
        }
        if !addresses.iter().all(|address| self.permits(*address, port)) {
            return Err(DialError::Forbidden { host: host.to_owned() });
        }
        Ok(addresses.into_iter().take(MAX_ADDRESSES).map(|address| SocketAddr::new(address, port)).collect())
    }

    /// Checks the host of a URL without resolving it. A name is permitted until its addresses are known.
    pub(super) fn check_host(&self, host: &str, port: u16) -> Result<(), DialError> {
        let forbidden = || DialError::Forbidden { host: host.to_owned() };
        let parsed = Host::parse(host).ok_or_else(forbidden)?;
        self.check_target(host, &parsed, port)?;
        match parsed {
            Host::Address(address) if !self.permits(address, port) => Err(forbidden()),
            Host::Address(_) | Host::Name(_) => Ok(()),
        }
    }

    /// Refuses what is not the named host.
    fn check_target(&self, host: &str, parsed: &Host, port: u16) -> Result<(), DialError> {
        let is_target = match &self.scope {
            Scope::Organization(_) | Scope::Any => true,
            Scope::Named(named, named_port) => named == parsed && *named_port == port,
            Scope::Nothing => false,
        };
        if is_target { Ok(()) } else { Err(DialError::Forbidden { host: host.to_owned() }) }
    }

    fn permits(&self, address: IpAddr, port: u16) -> bool {
        match &self.scope {
            Scope::Organization(organization) => {
                let mut allowances = self.shared.allowances.iter();
                is_public(address) || allowances.any(|allowance| allowance.permits(organization, address, port))
            }
            Scope::Named(..) | Scope::Any => true,
            Scope::Nothing => false,
        }
    }
}

/// Connects to the first address that accepts. Each has an equal share of the time that is left.
async fn connect_in_order(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = timed_out();
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                SockRef::from(&stream).set_tcp_keepalive(&keepalive())?;
                return Ok(stream);
            }
            Ok(Err(cause)) => failure = cause,
            Err(_) => failure = timed_out(),
        }
    }
    Err(failure)
}

/// Finds out in about a minute that the network is gone, also while nothing is sent.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_RETRIES)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out")
}
