//! Tests a connection to an object store.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use tokio::time::timeout;
use uuid::Uuid;

use super::store::Store;
use super::upload::{Beginning, Upload};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::{Check, CheckOutcome, CheckStep};
use crate::dialer::DialError;
use crate::model::FailureCode;

/// Time for all checks.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);

/// Time to remove what the checks wrote.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The steps in their order.
const STEPS: [CheckStep; 5] =
    [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];

/// Text of the object that is written.
const PROBE: &str = "Written by a test of a connection of Outflow, which removes it.";

/// A test in progress.
struct Test {
    /// Key of the object that it writes.
    key: Path,
    /// Number of steps that passed.
    passed: usize,
    written: bool,
    beginning: Beginning,
    upload: Option<Upload>,
}

/// Tests the connection within 20 s.
pub(super) async fn run(store: &Arc<Store>) -> Vec<Check> {
    let key = match store.key(&format!(".outflow-test-{}", Uuid::new_v4())) {
        Ok(key) => key,
        Err(error) => return checks(0, Err(error)),
    };
    let mut test = Test { key, passed: 0, written: false, beginning: Beginning::default(), upload: None };
    let outcome = timeout(CHECK_TIMEOUT, test.run(store)).await.unwrap_or_else(|_| Err(timed_out()));
    let removed = timeout(REMOVAL_TIMEOUT, test.remove(store)).await.unwrap_or_else(|_| Err(timed_out()));
    checks(test.passed, outcome.and(removed))
}

impl Test {
    /// Takes the steps until one fails; `passed` counts those before it.
    async fn run(&mut self, store: &Arc<Store>) -> Result<(), DeliveryError> {
        self.connect(store).await?;
        self.authenticate(store).await?;
        self.write(store).await
    }

    async fn connect(&mut self, store: &Store) -> Result<(), DeliveryError> {
        let connected = store.network.connect(&store.origin.host, store.origin.port).await;
        self.passed = match &connected {
            Ok(_) => 2,
            Err(DialError::Connect { .. }) => 1,
            Err(_) => 0,
        };
        connected.map(drop).map_err(|error| DeliveryError::with(error.code(), "connect", error))
    }

    /// Reads an object that does not exist. A response shows that TLS works; one that is not about the credential shows
    /// that the credential is accepted.
    async fn authenticate(&mut self, store: &Store) -> Result<(), DeliveryError> {
        let response = store.read(&self.key).await;
        self.passed = match response.as_ref().err().map(|error| error.code) {
            None | Some(FailureCode::DestinationDenied | FailureCode::DestinationRefused) => 4,
            Some(FailureCode::AuthenticationFailed | FailureCode::DestinationThrottled) => 3,
            Some(_) => 2,
        };
        response.map(drop)
    }

    /// Writes and reads an object, and begins an upload.
    async fn write(&mut self, store: &Arc<Store>) -> Result<(), DeliveryError> {
        self.written = true;
        store.replace(&self.key, PROBE.to_owned(), "test").await?;
        if store.read(&self.key).await?.as_deref() != Some(PROBE.as_bytes()) {
            return Err(DeliveryError::new(FailureCode::DestinationRefused, "the object is not what was written"));
        }
        self.upload = Some(self.beginning.begin(store, &self.key, store.attributes("test")).await?);
        Ok(())
    }

    async fn remove(&mut self, store: &Store) -> Result<(), DeliveryError> {
        let upload = match self.upload.take() {
            None => self.beginning.finish().await,
            upload => upload,
        };
        if let Some(upload) = upload {
            upload.abort().await?;
        }
        if self.written { store.delete(&self.key).await } else { Ok(()) }
    }
}

/// The checks of which the first `passed` passed, and the next one failed if there is an error.
fn checks(passed: usize, outcome: Result<(), DeliveryError>) -> Vec<Check> {
    let failed = outcome.err().map(|error| {
        tracing::info!(%error, "the test of a connection failed");
        CheckOutcome::Failed { code: error.code, found_host_key: None }
    });
    let outcome = |index| match &failed {
        None => CheckOutcome::Passed,
        Some(_) if index < passed => CheckOutcome::Passed,
        Some(failed) if index == passed => failed.clone(),
        Some(_) => CheckOutcome::Skipped,
    };
    STEPS.into_iter().enumerate().map(|(index, step)| Check { step, outcome: outcome(index) }).collect()
}

fn timed_out() -> DeliveryError {
    DeliveryError::new(FailureCode::DestinationUnreachable, "timed out")
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::super::tests::late_store;
    use super::*;

    #[tokio::test]
    async fn an_upload_whose_id_arrives_after_the_time_of_a_test_is_aborted() {
        let (store, uploads) = late_store();
        let key = store.key("probe").unwrap();
        let mut test = Test { key, passed: 4, written: false, beginning: Beginning::default(), upload: None };
        {
            let mut writing = Box::pin(test.write(&store));
            while uploads.open.lock().is_empty() {
                assert!(poll!(&mut writing).is_pending());
                tokio::task::yield_now().await;
            }
            // The time of the checks is over: the future is dropped.
        }
        uploads.responses.add_permits(1);
        test.remove(&store).await.unwrap();
        assert!(uploads.open.lock().is_empty(), "an upload remains");
    }

    #[test]
    fn the_step_after_the_passed_ones_failed_and_the_rest_is_skipped() {
        let outcomes = |passed, outcome| -> Vec<_> { checks(passed, outcome).into_iter().map(|c| c.outcome).collect() };
        let failed = CheckOutcome::Failed { code: FailureCode::DestinationUnreachable, found_host_key: None };
        let (pass, skip) = (CheckOutcome::Passed, CheckOutcome::Skipped);
        assert_eq!(outcomes(2, Err(timed_out())), [pass.clone(), pass.clone(), failed, skip.clone(), skip],);
        assert!(outcomes(4, Ok(())).iter().all(|outcome| *outcome == pass));
    }
}
