//! Datasets: the tables that can be exported, and the check of payloads against them.

mod check_payload;
mod get;
mod list;

use crate::delivery::DeliveryError;
use crate::model::{Error, FailureCode, OrganizationId, Unavailable};

pub use check_payload::PayloadCheck;

/// The error of a call that needs a source of datasets. The cause is logged here, because callers may not see it.
fn unavailable(organization: &OrganizationId, error: DeliveryError) -> Error {
    if error.code == FailureCode::Internal {
        return Error::internal(error);
    }
    tracing::warn!(%organization, %error, "the source of datasets is unavailable");
    Error::Unavailable(Unavailable::Dataset)
}
