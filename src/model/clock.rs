//! The clock for informational times: creation times, log lines, the audit log.
//!
//! Decisions (expiry, retention) compare times in SQL with the database's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// Returns the time in whole microseconds, the precision of PostgreSQL: a returned time equals the one read back.
///
/// Tests can move it; the same offset is bound into every time comparison in SQL.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The current time.
    #[expect(clippy::disallowed_methods, reason = "the only use of the system clock")]
    pub fn now(&self) -> DateTime<Utc> {
        (Utc::now() + TimeDelta::milliseconds(self.offset_ms())).trunc_subsecs(6)
    }

    /// Milliseconds that this clock is ahead of the system's; 0 except in tests.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// A clock that is behind this one by `age`.
    #[must_use]
    pub fn moved_back(&self, age: std::time::Duration) -> Self {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self { offset_ms: Arc::new(AtomicI64::new(self.offset_ms().saturating_sub(age_ms))) }
    }

    /// Moves the clock and all its clones forward.
    pub fn advance(&self, by: TimeDelta) {
        self.offset_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
