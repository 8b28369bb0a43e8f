//! Limits how often, and how often at the same time, an organization makes calls that are expensive: tests of connections,
//! and previews of exports.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Error, Exhausted, OrganizationId, Result};

/// The limit on tests of connections.
pub const TESTS: RateLimit = RateLimit { max_concurrent: 2, max_per_minute: 20 };
/// The limit on previews of exports, which share the memory and the threads of the engine with runs.
pub const PREVIEWS: RateLimit = RateLimit { max_concurrent: 4, max_per_minute: 120 };
/// The time over which calls are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// When a call is worth another try if too many others are in progress.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How many calls an organization can make on one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    max_concurrent: usize,
    max_per_minute: usize,
}

/// Counts the calls of each organization on this replica.
#[derive(Clone)]
pub struct RateLimiter {
    limit: RateLimit,
    organizations: Arc<Mutex<HashMap<OrganizationId, Calls>>>,
}

#[derive(Default)]
struct Calls {
    running: usize,
    begun: Vec<Instant>,
}

/// The permit of a call; released when dropped.
pub struct RatePermit {
    limiter: RateLimiter,
    organization: OrganizationId,
}

impl RateLimiter {
    /// A limiter that has counted nothing.
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, organizations: Arc::default() }
    }

    /// Acquires a permit. Fails with `RATE_LIMITED` at a limit.
    pub fn acquire(&self, organization: &OrganizationId) -> Result<RatePermit> {
        let now = Instant::now();
        let mut organizations = self.organizations.lock();
        organizations.retain(|_, calls| {
            calls.begun.retain(|begun| now.duration_since(*begun) < WINDOW);
            calls.running > 0 || !calls.begun.is_empty()
        });
        let calls = organizations.entry(organization.clone()).or_default();
        if calls.begun.len() >= self.limit.max_per_minute {
            let oldest = calls.begun.first().map_or(WINDOW, |begun| now.duration_since(*begun));
            return Err(Error::Exhausted(Exhausted::RateLimited { retry_delay: WINDOW.saturating_sub(oldest) }));
        }
        if calls.running >= self.limit.max_concurrent {
            return Err(Error::Exhausted(Exhausted::RateLimited { retry_delay: RETRY_DELAY }));
        }
        calls.running += 1;
        calls.begun.push(now);
        Ok(RatePermit { limiter: self.clone(), organization: organization.clone() })
    }
}

impl Drop for RatePermit {
    fn drop(&mut self) {
        if let Some(calls) = self.limiter.organizations.lock().get_mut(&self.organization) {
            calls.running -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_its_own_limits() {
        let limiter = RateLimiter::new(TESTS);
        let organization = |id| OrganizationId::parse(id).unwrap();
        let running: Vec<_> = (0..2).map(|_| limiter.acquire(&organization("acme")).unwrap()).collect();
        assert_eq!(retry_delay(&limiter), RETRY_DELAY);
        assert!(limiter.acquire(&organization("zeta")).is_ok());
        drop(running);
        for _ in 2..20 {
            assert!(limiter.acquire(&organization("acme")).is_ok());
        }
        let delay = retry_delay(&limiter);
        assert!(delay > RETRY_DELAY && delay <= WINDOW, "{delay:?}");
    }

    /// When the refused organization can call again.
    fn retry_delay(limiter: &RateLimiter) -> Duration {
        match limiter.acquire(&OrganizationId::parse("acme").unwrap()) {
            Err(Error::Exhausted(Exhausted::RateLimited { retry_delay })) => retry_delay,
            other => panic!("{:?}", other.map(drop)),
        }
    }
}
