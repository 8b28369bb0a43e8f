//! The progress of a test of a connection.

use std::time::Duration;

use super::{Check, CheckOutcome, CheckStep};
use crate::delivery::DeliveryError;

/// Maximum duration of a test.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The steps in their order.
const STEPS: [CheckStep; 5] =
    [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];

/// The step that a connection has reached.
#[derive(Default)]
pub struct Progress {
    current: Option<CheckStep>,
    /// The fingerprint of a host key that is not the configured one.
    pub found_host_key: Option<String>,
}

impl Progress {
    /// Records that a step begins; the steps before it have passed.
    pub fn begin(&mut self, step: CheckStep) {
        self.current = Some(step);
    }

    /// The checks of a test that ended with `result`. All steps of `applicable` up to the current one have passed; if the
    /// test failed, the current one failed.
    pub fn checks(self, applicable: &[CheckStep], result: &Result<(), DeliveryError>) -> Vec<Check> {
        let current = STEPS.iter().position(|step| Some(*step) == self.current).unwrap_or_default();
        let mut found_host_key = self.found_host_key;
        let outcome = |(position, step): (usize, CheckStep)| {
            let outcome = match result {
                _ if !applicable.contains(&step) || position > current => CheckOutcome::Skipped,
                Err(error) if position == current => {
                    CheckOutcome::Failed { code: error.code, found_host_key: found_host_key.take() }
                }
                Ok(()) | Err(_) => CheckOutcome::Passed,
            };
            Check { step, outcome }
        };
        STEPS.into_iter().enumerate().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureCode;

    fn outcomes(checks: &[Check]) -> Vec<&'static str> {
        let name = |check: &Check| match check.outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Failed { .. } => "failed",
            CheckOutcome::Skipped => "skipped",
        };
        checks.iter().map(name).collect()
    }

    #[test]
    fn steps_before_a_failure_have_passed_and_steps_after_it_are_skipped() {
        let mut progress = Progress::default();
        progress.begin(CheckStep::Tls);
        progress.found_host_key = Some("SHA256:x".to_owned());
        let checks = progress.checks(&STEPS, &Err(DeliveryError::new(FailureCode::HostKeyMismatch, "")));
        assert_eq!(outcomes(&checks), ["passed", "passed", "failed", "skipped", "skipped"]);
        let found_host_key = Some("SHA256:x".to_owned());
        assert_eq!(checks[2].outcome, CheckOutcome::Failed { code: FailureCode::HostKeyMismatch, found_host_key });
    }

    #[test]
    fn steps_that_do_not_apply_are_skipped() {
        let mut progress = Progress::default();
        progress.begin(CheckStep::Write);
        let checks = progress.checks(&[CheckStep::Write], &Ok(()));
        assert_eq!(outcomes(&checks), ["skipped", "skipped", "skipped", "skipped", "passed"]);
    }
}
