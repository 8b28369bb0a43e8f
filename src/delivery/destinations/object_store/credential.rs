//! Values of a connection: no destination reads credentials or endpoints from anywhere else.

use crate::delivery::DeliveryError;
use crate::delivery::destinations::Target;
use crate::model::json::Object;
use crate::model::{CredentialSecret, FailureCode};

use super::store::text;

/// A property that the type requires.
pub(super) fn required<'a>(properties: &'a Object, key: &str) -> Result<&'a str, DeliveryError> {
    let missing = || DeliveryError::new(FailureCode::Internal, format!("the property {key} is missing"));
    text(properties, key).ok_or_else(missing)
}

/// The credential of the connection.
pub(super) fn credential(target: &Target) -> Result<&CredentialSecret, DeliveryError> {
    let missing = || DeliveryError::new(FailureCode::CredentialRequired, "the connection has no credential");
    target.credential.as_ref().ok_or_else(missing)
}

/// A field of the credential.
pub(super) fn field<'a>(credential: &'a CredentialSecret, key: &str) -> Result<&'a str, DeliveryError> {
    let value = credential.fields.get(key).map(crate::model::Secret::expose);
    value.filter(|value| !value.is_empty()).ok_or_else(|| unusable(&format!("the credential has no {key}")))
}

/// A credential that cannot be used. The text never holds a part of it.
pub(super) fn unusable(detail: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::CredentialRequired, detail)
}
