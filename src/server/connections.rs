//! How many connections a listener has, in total and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The least time between two warnings about refused connections.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// How many connections a listener can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// From all addresses together.
    pub total: usize,
    /// From one address, or from one /64 network of IPv6.
    pub per_address: usize,
}

/// The open connections of a listener.
#[derive(Clone)]
pub struct OpenConnections(Arc<Inner>);

struct Inner {
    listener: &'static str,
    limits: ConnectionLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    total: usize,
    addresses: HashMap<IpAddr, usize>,
    last_warning: Option<Instant>,
}

/// Counts a connection until it is dropped.
pub struct OpenConnection {
    open: OpenConnections,
    address: IpAddr,
}

impl OpenConnections {
    /// No connection yet.
    pub fn new(listener: &'static str, limits: ConnectionLimits) -> Self {
        record(listener, 0);
        for limit in ["address", "total"] {
            refused(listener, limit).increment(0);
        }
        Self(Arc::new(Inner { listener, limits, state: Mutex::default() }))
    }

    /// Counts a connection, unless there are too many.
    pub fn admit(&self, address: IpAddr) -> Option<OpenConnection> {
        let Inner { listener, limits, state } = &*self.0;
        let address = network(address);
        let mut state = state.lock();
        let of_address = state.addresses.get(&address).copied().unwrap_or(0);
        let limit = if of_address >= limits.per_address {
            "address"
        } else if state.total >= limits.total {
            "total"
        } else {
            state.total += 1;
            state.addresses.insert(address, of_address + 1);
            record(listener, state.total);
            return Some(OpenConnection { open: self.clone(), address });
        };
        refused(listener, limit).increment(1);
        if state.last_warning.is_none_or(|last| last.elapsed() >= WARNING_INTERVAL) {
            state.last_warning = Some(Instant::now());
            tracing::warn!(listener, limit, %address, open = state.total, "refused a connection");
        }
        None
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut state = self.open.0.state.lock();
        state.total -= 1;
        record(self.open.0.listener, state.total);
        if let Some(of_address) = state.addresses.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                state.addresses.remove(&self.address);
            }
        }
    }
}

fn refused(listener: &'static str, limit: &'static str) -> metrics::Counter {
    metrics::counter!("rpc.server.connections.refused", "listener" => listener, "limit" => limit)
}

fn record(listener: &'static str, open: usize) {
    let open = u32::try_from(open).map_or(f64::INFINITY, f64::from);
    metrics::gauge!("rpc.server.connections.open", "listener" => listener).set(open);
}

/// The address, or the /64 network of an IPv6 address: one host has many of these.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_in_total_and_by_address() {
        let open = OpenConnections::new("api", ConnectionLimits { total: 3, per_address: 2 });
        let admit = |address: &str| open.admit(address.parse().unwrap());
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());
        let other = admit("2001:db8::1").unwrap();
        assert!(admit("192.0.2.2").is_none(), "the total");
        drop(first);
        let _again = admit("2001:db8::2").unwrap();
        drop(other);
        let _last = admit("2001:db8:0:1::1").unwrap();
        assert!(admit("192.0.2.1").is_none() && open.0.state.lock().total == 3);
    }
}
