//! Failures of sources as errors of calls.

use crate::delivery::DeliveryError;
use crate::model::{Error, FailureCode, OrganizationId, Unavailable};

/// The error of a call that needs a source of datasets. The cause is logged here, because callers may not see it.
pub fn unavailable(organization: &OrganizationId, error: DeliveryError) -> Error {
    if error.code == FailureCode::Internal {
        return Error::internal(error);
    }
    tracing::warn!(%organization, %error, "the source of datasets is unavailable");
    Error::Unavailable(Unavailable::Dataset)
}
