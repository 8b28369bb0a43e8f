//! The log of refused callers: which check failed, and what was expected and seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::identity::{AuthnError, Rejection};

/// The time between two log lines with the same reason. Anyone can cause them.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Counts refused callers, and logs at most one of each reason in 10 seconds.
#[derive(Default)]
pub struct RejectionLog(Mutex<BTreeMap<AuthnError, LastLine>>);

/// The last log line with a reason.
struct LastLine {
    time: Instant,
    /// Refused callers since then that were not logged.
    suppressed: u64,
}

impl RejectionLog {
    /// Records a refused caller. A call without a token is counted and not logged.
    pub fn record(&self, rejection: &Rejection, request_id: Option<&str>) {
        let reason = rejection.reason;
        metrics::counter!("auth.rejected", "reason" => reason.reason()).increment(1);
        if reason == AuthnError::Missing {
            return;
        }
        if let Some(suppressed) = self.begin_line(reason, Instant::now()) {
            log(rejection, request_id, suppressed);
        }
    }

    /// Whether a line may be logged now: returns how many were not logged since the last one.
    fn begin_line(&self, reason: AuthnError, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock();
        let Some(last) = lines.get_mut(&reason) else {
            lines.insert(reason, LastLine { time: now, suppressed: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(last.time) < LOG_INTERVAL {
            last.suppressed += 1;
            return None;
        }
        last.time = now;
        Some(std::mem::take(&mut last.suppressed))
    }
}

fn log(rejection: &Rejection, request_id: Option<&str>, suppressed: u64) {
    let compared = rejection.compared.as_deref();
    tracing::warn!(
        reason = rejection.reason.reason(),
        detail = &*rejection.detail,
        expected_issuer = compared.map(|compared| compared.expected_issuer.as_str()),
        seen_issuer = compared.map(|compared| compared.seen_issuer.as_str()),
        expected_audience = compared.and_then(|compared| compared.expected_audience.as_deref()),
        seen_audience = compared.map(|compared| compared.seen_audience.as_str()),
        request_id,
        suppressed,
        "refused a caller"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_each_reason_is_logged_in_ten_seconds() {
        let (log, start) = (RejectionLog::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.begin_line(AuthnError::Expired, at(0)), Some(0));
        for _ in 0..1_000 {
            assert_eq!(log.begin_line(AuthnError::Expired, at(9)), None);
        }
        assert_eq!(log.begin_line(AuthnError::Audience, at(9)), Some(0), "another reason");
        assert_eq!(log.begin_line(AuthnError::Expired, at(10)), Some(1_000));
        assert_eq!(log.begin_line(AuthnError::Expired, at(19)), None);
        assert_eq!(log.begin_line(AuthnError::Expired, at(30)), Some(1));
    }
}
