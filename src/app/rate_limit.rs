//! Limits how often, and how often at the same time, an organization tests connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Error, Exhausted, OrganizationId, Result};

/// Tests of an organization at the same time.
const MAX_CONCURRENT: usize = 2;
/// Tests of an organization in [`WINDOW`].
const MAX_PER_WINDOW: usize = 20;
/// The time over which tests are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// Counts the tests of each organization on this replica.
#[derive(Clone, Default)]
pub struct TestLimiter(Arc<Mutex<HashMap<OrganizationId, Tests>>>);

#[derive(Default)]
struct Tests {
    running: usize,
    begun: Vec<Instant>,
}

/// The permit of a test; released when dropped.
pub struct TestPermit {
    limiter: TestLimiter,
    organization: OrganizationId,
}

impl TestLimiter {
    /// Acquires a permit. Fails with `RATE_LIMITED` at a limit.
    pub fn acquire(&self, organization: &OrganizationId) -> Result<TestPermit> {
        let now = Instant::now();
        let mut organizations = self.0.lock();
        organizations.retain(|_, tests| {
            tests.begun.retain(|begun| now.duration_since(*begun) < WINDOW);
            tests.running > 0 || !tests.begun.is_empty()
        });
        let tests = organizations.entry(organization.clone()).or_default();
        if tests.running >= MAX_CONCURRENT || tests.begun.len() >= MAX_PER_WINDOW {
            return Err(Error::Exhausted(Exhausted::RateLimited));
        }
        tests.running += 1;
        tests.begun.push(now);
        Ok(TestPermit { limiter: self.clone(), organization: organization.clone() })
    }
}

impl Drop for TestPermit {
    fn drop(&mut self) {
        if let Some(tests) = self.limiter.0.lock().get_mut(&self.organization) {
            tests.running -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_its_own_limits() {
        let limiter = TestLimiter::default();
        let organization = |id| OrganizationId::parse(id).unwrap();
        let running: Vec<_> = (0..2).map(|_| limiter.acquire(&organization("acme")).unwrap()).collect();
        assert!(matches!(limiter.acquire(&organization("acme")), Err(Error::Exhausted(Exhausted::RateLimited))));
        assert!(limiter.acquire(&organization("zeta")).is_ok());
        drop(running);
        for _ in 2..20 {
            assert!(limiter.acquire(&organization("acme")).is_ok());
        }
        assert!(limiter.acquire(&organization("acme")).is_err());
    }
}
