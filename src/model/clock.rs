//! The clock that informs: create times, log lines, audit.
//!
//! What decides (expiry, retention) is compared in SQL with the database's own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// Tells the time, in whole microseconds: PostgreSQL keeps no more, so what is returned equals what is read back.
///
/// Tests may move it; the same offset is bound into every comparison that the database makes.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The present.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    pub fn now(&self) -> DateTime<Utc> {
        (Utc::now() + TimeDelta::milliseconds(self.offset_ms())).trunc_subsecs(6)
    }

    /// How far this clock is ahead of the system's, in milliseconds; 0 save in tests.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Another clock, behind this one by an age.
    #[must_use]
    pub fn moved_back(&self, age: std::time::Duration) -> Self {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self { offset_ms: Arc::new(AtomicI64::new(self.offset_ms().saturating_sub(age_ms))) }
    }

    /// Moves the clock and all its copies forward.
    pub fn advance(&self, by: TimeDelta) {
        self.offset_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}
