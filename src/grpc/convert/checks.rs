//! Checks of connections as messages.

use super::runs::failure_to_proto;
use super::values::time_to_proto;
use crate::grpc::proto as pb;
use crate::model::{Check, CheckOutcome, CheckStep, LastTest};

/// The last test of a connection.
pub fn last_test_to_proto(test: LastTest) -> pb::connection::LastTest {
    pb::connection::LastTest {
        time: Some(time_to_proto(test.time)),
        passed: passed(&test.checks),
        checks: test.checks.into_iter().map(check_to_proto).collect(),
    }
}

/// Whether no check failed.
pub fn passed(checks: &[Check]) -> bool {
    checks.iter().all(|check| !matches!(check.outcome, CheckOutcome::Failed { .. }))
}

/// A check of a connection as a message.
pub fn check_to_proto(check: Check) -> pb::ConnectionCheck {
    use pb::connection_check::{Outcome, Step};
    let step = match check.step {
        CheckStep::Resolve => Step::Resolve,
        CheckStep::Connect => Step::Connect,
        CheckStep::Tls => Step::Tls,
        CheckStep::Authenticate => Step::Authenticate,
        CheckStep::Write => Step::Write,
    };
    let (outcome, error, found_host_key) = match check.outcome {
        CheckOutcome::Passed => (Outcome::Passed, None, None),
        CheckOutcome::Skipped => (Outcome::Skipped, None, None),
        CheckOutcome::Failed { code, found_host_key } => {
            (Outcome::Failed, Some(failure_to_proto(code)), found_host_key)
        }
    };
    pb::ConnectionCheck {
        step: step.into(),
        outcome: outcome.into(),
        error,
        found_host_key: found_host_key.unwrap_or_default(),
    }
}
