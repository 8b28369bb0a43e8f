//! Quotas of organizations: how many connections and exports each may have, and how often it may write. All are optional.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::model::{Error, Exhausted, OrganizationId, Result};
use crate::store::{self, Scope, Transaction, organizations};

/// The names of the quotas in errors and metrics.
const CONNECTIONS: &str = "connections";
const EXPORTS: &str = "exports";
const WRITES_PER_SECOND: &str = "writes_per_second";

/// The quotas of every organization; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// How many connections it may have.
    pub connections: Option<u64>,
    /// How many exports it may have.
    pub exports: Option<u64>,
    /// How many changing calls per second it may make on this replica.
    pub writes_per_second: Option<u32>,
}

/// Checks that the organization may have one more connection. To be called before any row is locked.
pub async fn check_connections(quotas: &Quotas, db: &Transaction, scope: &Scope<'_>) -> Result<()> {
    let Some(limit) = quotas.connections else { return Ok(()) };
    organizations::lock(db, scope).await?;
    check(CONNECTIONS, limit, store::connection_counts::has_at_least(db, scope, limit).await?)
}

/// Checks that the organization may have one more export. To be called before any row is locked.
pub async fn check_exports(quotas: &Quotas, db: &Transaction, scope: &Scope<'_>) -> Result<()> {
    let Some(limit) = quotas.exports else { return Ok(()) };
    organizations::lock(db, scope).await?;
    check(EXPORTS, limit, store::exports::has_at_least(db, scope, limit).await?)
}

fn check(quota: &'static str, limit: u64, reached: bool) -> Result<()> {
    if reached { Err(exceeded(quota, limit, None)) } else { Ok(()) }
}

fn exceeded(quota: &'static str, limit: u64, retry_delay: Option<Duration>) -> Error {
    refused(quota).increment(1);
    Error::Exhausted(Exhausted::Quota { quota, limit, retry_delay })
}

fn refused(quota: &'static str) -> metrics::Counter {
    metrics::counter!("quota.refused", "quota" => quota)
}

/// Limits how often organizations write. Each can write as often as its quota says, in any distribution over a second.
pub struct WriteRates {
    organizations: Mutex<HashMap<OrganizationId, Bucket>>,
}

/// What an organization may still write, as of a time.
struct Bucket {
    writes: f64,
    time: Instant,
}

impl Default for WriteRates {
    fn default() -> Self {
        for quota in [CONNECTIONS, EXPORTS, WRITES_PER_SECOND] {
            refused(quota).increment(0);
        }
        Self { organizations: Mutex::default() }
    }
}

impl WriteRates {
    /// Counts a write, or refuses it.
    pub fn count(&self, organization: &OrganizationId, per_second: u32, now: Instant) -> Result<()> {
        let rate = f64::from(per_second);
        let refilled = |bucket: &Bucket| (bucket.writes + (now - bucket.time).as_secs_f64() * rate).min(rate);
        let mut organizations = self.organizations.lock();
        // Those that are full need not be kept.
        organizations.retain(|_, bucket| refilled(bucket) < rate);
        let writes = organizations.get(organization).map_or(rate, refilled);
        if writes < 1.0 {
            let retry_delay = Duration::from_secs_f64((1.0 - writes) / rate);
            return Err(exceeded(WRITES_PER_SECOND, per_second.into(), Some(retry_delay)));
        }
        organizations.insert(organization.clone(), Bucket { writes: writes - 1.0, time: now });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_writes_as_often_as_its_quota_says() {
        let rates = WriteRates::default();
        let [acme, zeta] = ["acme", "zeta"].map(|id| OrganizationId::parse(id).unwrap());
        let start = Instant::now();
        for _ in 0..10 {
            rates.count(&acme, 10, start).unwrap();
        }
        let Err(Error::Exhausted(Exhausted::Quota { retry_delay: Some(delay), .. })) = rates.count(&acme, 10, start)
        else {
            panic!("the quota is used up")
        };
        assert_eq!(delay, Duration::from_millis(100));
        assert!(rates.count(&zeta, 10, start).is_ok());
        assert!(rates.count(&acme, 10, start + delay).is_ok());
        assert!(rates.count(&acme, 10, start + delay).is_err());
        let later = start + Duration::from_mins(1);
        assert!(rates.count(&acme, 10, later).is_ok());
        assert_eq!(rates.organizations.lock().len(), 1, "a full bucket is forgotten");
    }
}
