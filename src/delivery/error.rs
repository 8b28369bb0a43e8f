//! Why a delivery, a check of a connection or the reading of a dataset failed.

use std::fmt;

use crate::model::FailureCode;

/// A failure, with a code for callers and a detail for operators.
#[derive(Debug)]
pub struct DeliveryError {
    /// What happened, for callers.
    pub code: FailureCode,
    /// The cause, for the log and administrators only: it may name hosts and paths, and never holds a secret.
    pub detail: String,
}

impl DeliveryError {
    /// A failure.
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// A failure with the text of its cause.
    pub fn with(code: FailureCode, doing: &str, cause: impl fmt::Display) -> Self {
        Self { code, detail: format!("{doing}: {cause}") }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.code, self.detail)
    }
}

impl std::error::Error for DeliveryError {}
