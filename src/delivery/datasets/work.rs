//! Runs work with a timeout, or on a thread that may block.

use std::time::Duration;

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Runs blocking work on its own thread.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeliveryError> + Send + 'static,
) -> Result<T, DeliveryError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|error| DeliveryError::with(FailureCode::Internal, "a thread ended early", error))?
}

/// Fails with DATASET_UNAVAILABLE when the time is over.
pub async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, DeliveryError>>,
) -> Result<T, DeliveryError> {
    let late = |elapsed| DeliveryError::with(FailureCode::DatasetUnavailable, "the source does not respond", elapsed);
    tokio::time::timeout(timeout, work).await.map_err(late)?
}
