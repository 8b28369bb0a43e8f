//! Who holds a resource, who waits for it, and whose turn it is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::model::{Caller, OrganizationId, ShareLimit};

/// How much of a resource can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// By all callers together.
    pub total: u64,
    /// By an organization.
    pub organization: u64,
    /// By a principal.
    pub principal: u64,
    /// Organizations and principals may hold more than that, while no more than this is held by all together.
    pub unshared: u64,
    /// Principals may hold more only while their organization holds no more than this, so that one leaves something to the
    /// others of its organization.
    pub unshared_in_organization: u64,
}

/// The holders of a resource, and those who wait for a share of the type `S`.
pub struct State<S> {
    held: u64,
    organizations: HashMap<OrganizationId, Organization<S>>,
    /// Waits of the service itself, whose turn is always the next.
    service: VecDeque<Waiting<S>>,
    waiting: usize,
    /// How often an amount was taken, or a holder began to wait.
    turn: u64,
}

struct Organization<S> {
    held: u64,
    /// When it took something last, or appeared.
    last_turn: u64,
    principals: HashMap<String, Principal<S>>,
}

struct Principal<S> {
    held: u64,
    last_turn: u64,
    waiting: VecDeque<Waiting<S>>,
}

struct Waiting<S> {
    id: u64,
    holder: Option<Arc<Caller>>,
    amount: u64,
    granted: oneshot::Sender<S>,
}

/// What a holder that waited is granted.
pub struct Granted<S> {
    pub holder: Option<Arc<Caller>>,
    pub amount: u64,
    pub waiting: oneshot::Sender<S>,
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self { held: 0, organizations: HashMap::new(), service: VecDeque::new(), waiting: 0, turn: 0 }
    }
}

impl<S> State<S> {
    /// The amount that is held.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Whether there is no holder, and none that waits.
    #[cfg(test)]
    pub fn is_unused(&self) -> bool {
        self.held == 0 && self.waiting == 0 && self.organizations.is_empty()
    }

    /// Whether a holder waits.
    pub fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Takes an amount, if the limits allow it.
    pub fn take(&mut self, limits: &Limits, holder: Option<&Arc<Caller>>, amount: u64) -> Result<(), ShareLimit> {
        self.check(limits, holder, amount)?;
        self.hold(holder, amount);
        Ok(())
    }

    /// Checks whether an amount could be taken.
    pub fn check(&self, limits: &Limits, holder: Option<&Arc<Caller>>, amount: u64) -> Result<(), ShareLimit> {
        let held = self.held.saturating_add(amount);
        if held > limits.total {
            return Err(ShareLimit::Total);
        }
        let Some(caller) = holder else { return Ok(()) };
        let organization = self.organizations.get(&caller.organization);
        let of_organization = organization.map_or(0, |organization| organization.held) + amount;
        let is_shared = held > limits.unshared;
        if is_shared && of_organization > limits.organization {
            return Err(ShareLimit::Organization);
        }
        let principal = organization.and_then(|organization| organization.principals.get(&caller.principal));
        let of_principal = principal.map_or(0, |principal| principal.held) + amount;
        if (is_shared || of_organization > limits.unshared_in_organization) && of_principal > limits.principal {
            return Err(ShareLimit::Principal);
        }
        Ok(())
    }

    /// Holds an amount, whatever the limits are.
    pub fn hold(&mut self, holder: Option<&Arc<Caller>>, amount: u64) {
        self.held = self.held.saturating_add(amount);
        // Nothing is released for an amount of 0.
        let Some(caller) = holder.filter(|_| amount > 0) else { return };
        self.turn += 1;
        let turn = self.turn;
        let organization = self.organization(caller);
        organization.held += amount;
        organization.last_turn = turn;
        let principal = organization.principal(caller, turn);
        principal.held += amount;
        principal.last_turn = turn;
    }

    /// Returns an amount.
    pub fn give_back(&mut self, holder: Option<&Arc<Caller>>, amount: u64) {
        self.held -= amount;
        let Some(caller) = holder else { return };
        self.with_principal(caller, |organization_held, principal| {
            *organization_held -= amount;
            principal.held -= amount;
        });
    }

    /// Waits for an amount. Returns the id of the wait, and where the share arrives.
    pub fn wait(&mut self, holder: Option<&Arc<Caller>>, amount: u64) -> (u64, oneshot::Receiver<S>) {
        let (granted, receiver) = oneshot::channel();
        self.turn += 1;
        self.waiting += 1;
        let id = self.turn;
        let queue = match holder {
            None => &mut self.service,
            Some(caller) => &mut self.organization(caller).principal(caller, id).waiting,
        };
        queue.push_back(Waiting { id, holder: holder.cloned(), amount, granted });
        (id, receiver)
    }

    /// Ends a wait, if nothing was granted.
    pub fn leave(&mut self, holder: Option<&Arc<Caller>>, id: u64) {
        let remove = |queue: &mut VecDeque<Waiting<S>>| {
            let before = queue.len();
            queue.retain(|waiting| waiting.id != id);
            before - queue.len()
        };
        let removed = match holder {
            None => remove(&mut self.service),
            Some(caller) => self.with_principal(caller, |_, principal| remove(&mut principal.waiting)).unwrap_or(0),
        };
        self.waiting -= removed;
    }

    /// Takes the amounts of those whose turn it is: the organization, and of it the principal, whose last turn is the
    /// longest ago. Who has reached a limit is passed; who needs more than is free is not.
    pub fn grant(&mut self, limits: &Limits) -> Vec<Granted<S>> {
        let mut granted = Vec::new();
        while let Some((holder, amount)) = self.next(limits) {
            self.hold(holder.as_ref(), amount);
            let first = match &holder {
                None => self.service.pop_front(),
                Some(caller) => self.with_principal(caller, |_, principal| principal.waiting.pop_front()).flatten(),
            };
            if let Some(waiting) = first {
                self.waiting -= 1;
                granted.push(Granted { holder, amount, waiting: waiting.granted });
            }
        }
        granted
    }

    /// Whose turn it is, and for what amount.
    fn next(&self, limits: &Limits) -> Option<(Option<Arc<Caller>>, u64)> {
        if self.waiting == 0 {
            return None;
        }
        if let Some(first) = self.service.front() {
            return self.check(limits, None, first.amount).is_ok().then_some((None, first.amount));
        }
        let mut first: Vec<_> = self.organizations.values().flat_map(Organization::first).collect();
        first.sort_unstable_by_key(|(turn, _)| *turn);
        for (_, waiting) in first {
            match self.check(limits, waiting.holder.as_ref(), waiting.amount) {
                Ok(()) => return Some((waiting.holder.clone(), waiting.amount)),
                Err(ShareLimit::Total) => return None,
                Err(_) => {}
            }
        }
        None
    }

    fn organization(&mut self, caller: &Caller) -> &mut Organization<S> {
        let turn = self.turn;
        let new = || Organization { held: 0, last_turn: turn, principals: HashMap::new() };
        self.organizations.entry(caller.organization.clone()).or_insert_with(new)
    }

    /// Changes a principal that holds something or waits, and what its organization holds. They are removed if they no longer
    /// do.
    fn with_principal<R>(
        &mut self,
        caller: &Caller,
        change: impl FnOnce(&mut u64, &mut Principal<S>) -> R,
    ) -> Option<R> {
        let organization = self.organizations.get_mut(&caller.organization)?;
        let principal = organization.principals.get_mut(&caller.principal)?;
        let result = change(&mut organization.held, principal);
        if principal.held == 0 && principal.waiting.is_empty() {
            organization.principals.remove(&caller.principal);
            if organization.principals.is_empty() {
                self.organizations.remove(&caller.organization);
            }
        }
        Some(result)
    }
}

impl<S> Organization<S> {
    /// A principal; a new one has its turn after all that wait.
    fn principal(&mut self, caller: &Caller, turn: u64) -> &mut Principal<S> {
        let new = || Principal { held: 0, last_turn: turn, waiting: VecDeque::new() };
        self.principals.entry(caller.principal.clone()).or_insert_with(new)
    }

    /// Who waits the longest of each principal, with what orders their turns.
    fn first(&self) -> impl Iterator<Item = ((u64, u64), &Waiting<S>)> {
        self.principals.values().filter_map(|principal| {
            principal.waiting.front().map(|waiting| ((self.last_turn, principal.last_turn), waiting))
        })
    }
}
