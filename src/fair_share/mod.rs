//! Resources that callers share: calls in flight, streams, database connections, bytes of memory.
//!
//! An organization may hold a quarter of a resource, and a principal an eighth. While half of the resource stays free, an
//! organization may hold up to half, and a principal up to a quarter: a caller that is alone is hardly slowed down, and the
//! next one, of the same organization or of another, finds its share. What is held for as long as the caller likes, such as
//! a stream, has fixed limits instead.

mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Caller, Error, Exhausted, Result, ShareLimit};
use state::{Granted, State};

pub use state::Limits;

/// A resource with a total amount, from which callers acquire shares. Cheap to clone.
#[derive(Clone)]
pub struct FairShare(Arc<Inner>);

struct Inner {
    name: &'static str,
    limits: Limits,
    state: Mutex<State<Share>>,
}

/// A share of a resource, released when dropped.
pub struct Share {
    resource: FairShare,
    /// `None`: the service itself, which only the total limits.
    holder: Option<Arc<Caller>>,
    amount: u64,
}

/// A wait, which ends when it is dropped.
struct Wait<'a> {
    resource: &'a FairShare,
    holder: Option<&'a Arc<Caller>>,
    /// `None`: a share was granted.
    id: Option<u64>,
}

impl FairShare {
    /// A resource of which an organization may hold a quarter, and a principal an eighth. `name` appears in errors and
    /// metrics.
    pub fn new(name: &'static str, total: u64) -> Self {
        Self::shared(name, total, total.div_ceil(2), total.div_ceil(4))
    }

    /// The same for a resource that is held for moments, and for which callers take turns: a caller may hold more while no more
    /// than `unshared` is held by all together.
    pub fn in_turns(name: &'static str, total: u64, unshared: u64) -> Self {
        Self::shared(name, total, unshared, unshared)
    }

    /// The same for a resource that is held for as long as the caller likes: organizations and principals never hold more.
    pub fn fixed(name: &'static str, total: u64) -> Self {
        Self::shared(name, total, 0, 0)
    }

    fn shared(name: &'static str, total: u64, unshared: u64, unshared_in_organization: u64) -> Self {
        let (organization, principal) = (total.div_ceil(4), total.div_ceil(8));
        Self::with_limits(name, Limits { total, organization, principal, unshared, unshared_in_organization })
    }

    /// A resource with these limits.
    pub fn with_limits(name: &'static str, limits: Limits) -> Self {
        for scope in [ShareLimit::Total, ShareLimit::Organization, ShareLimit::Principal] {
            refused(name, scope).increment(0);
        }
        Self(Arc::new(Inner { name, limits, state: Mutex::default() }))
    }

    /// The total amount.
    pub fn total(&self) -> u64 {
        self.0.limits.total
    }

    /// The amount that is held.
    pub fn held(&self) -> u64 {
        self.0.state.lock().held()
    }

    /// Whether a holder waits for a share.
    pub fn has_waiting(&self) -> bool {
        self.0.state.lock().has_waiting()
    }

    /// Acquires a share, or fails at once.
    pub fn try_acquire(&self, holder: Option<&Arc<Caller>>, amount: u64) -> Result<Share> {
        self.0.state.lock().take(&self.0.limits, holder, amount).map_err(|limit| self.refused(limit))?;
        Ok(self.share(holder.cloned(), amount))
    }

    /// Acquires a share; waits for one up to `timeout`. Organizations that wait take turns, and so do their principals.
    pub async fn acquire(&self, holder: Option<&Arc<Caller>>, amount: u64, timeout: Duration) -> Result<Share> {
        let (id, waiting, granted) = {
            let mut state = self.0.state.lock();
            // It does not pass those who wait.
            if !state.has_waiting() && state.take(&self.0.limits, holder, amount).is_ok() {
                return Ok(self.share(holder.cloned(), amount));
            }
            let (id, waiting) = state.wait(holder, amount);
            // Those who wait may wait for something else.
            (id, waiting, state.grant(&self.0.limits))
        };
        let mut wait = Wait { resource: self, holder, id: Some(id) };
        self.deliver(granted);
        if let Ok(granted) = tokio::time::timeout(timeout, waiting).await {
            wait.id = None;
            return granted.map_err(Error::internal);
        }
        drop(wait);
        let limit = self.0.state.lock().check(&self.0.limits, holder, amount);
        Err(self.refused(limit.err().unwrap_or(ShareLimit::Total)))
    }

    fn share(&self, holder: Option<Arc<Caller>>, amount: u64) -> Share {
        Share { resource: self.clone(), holder, amount }
    }

    fn refused(&self, limit: ShareLimit) -> Error {
        refused(self.0.name, limit).increment(1);
        Error::Exhausted(Exhausted::Share { resource: self.0.name, limit })
    }

    /// Changes the state, and grants what is free then to those who wait.
    fn change(&self, change: impl FnOnce(&mut State<Share>)) {
        let granted = {
            let mut state = self.0.state.lock();
            change(&mut state);
            state.grant(&self.0.limits)
        };
        self.deliver(granted);
    }

    fn deliver(&self, granted: Vec<Granted<Share>>) {
        for Granted { holder, amount, waiting } in granted {
            // A caller that no longer waits drops its share, which is released.
            drop(waiting.send(self.share(holder, amount)));
        }
    }
}

fn refused(limit: &'static str, scope: ShareLimit) -> metrics::Counter {
    metrics::counter!("limit.refused", "limit" => limit, "scope" => scope.as_str())
}

impl Share {
    /// Passes what it holds on to those who wait. Without any that can be granted something now, it is kept, and the result is
    /// false.
    pub fn pass_on(&mut self) -> bool {
        let granted = {
            let mut state = self.resource.0.state.lock();
            if !state.has_waiting() {
                return false;
            }
            state.give_back(self.holder.as_ref(), self.amount);
            let granted = state.grant(&self.resource.0.limits);
            if granted.is_empty() {
                state.hold(self.holder.as_ref(), self.amount);
                return false;
            }
            granted
        };
        self.amount = 0;
        self.resource.deliver(granted);
        true
    }

    /// Holds this amount from now on: what is in use already, whatever the limits are.
    pub fn set(&mut self, amount: u64) {
        let before = std::mem::replace(&mut self.amount, amount);
        let holder = self.holder.as_ref();
        match before.checked_sub(amount) {
            Some(excess) => self.resource.change(|state| state.give_back(holder, excess)),
            None => self.resource.0.state.lock().hold(holder, amount - before),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.resource.change(|state| state.give_back(self.holder.as_ref(), self.amount));
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.resource.change(|state| state.leave(self.holder, id));
        }
    }
}
