//! Why a request was not accepted, and whether it is sent again.

use std::time::Duration;

use reqwest::{StatusCode, Url};

use crate::delivery::DeliveryError;
use crate::delivery::destinations::CheckStep;
use crate::dialer::DialError;
use crate::model::FailureCode;

/// A request that was not accepted.
pub(super) struct Failure {
    /// The error, if the request is not sent again.
    pub(super) error: DeliveryError,
    /// The step that failed.
    pub(super) step: CheckStep,
    /// Whether the same request can be accepted later.
    pub(super) retryable: bool,
    /// The delay that the receiver asks for.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure before anything was sent.
    pub(super) fn terminal(error: DeliveryError) -> Self {
        Self { error, step: CheckStep::Write, retryable: false, retry_after: None }
    }

    /// Classifies an error of the dialer.
    pub(super) fn of_dial(error: &DialError) -> Self {
        let step = match error {
            DialError::Resolve { .. } | DialError::Forbidden { .. } | DialError::NotHttps { .. } => CheckStep::Resolve,
            DialError::Connect { .. } => CheckStep::Connect,
            DialError::Tls { .. } => CheckStep::Tls,
            DialError::Exchange { .. } | DialError::Authorities | DialError::Local { .. } => CheckStep::Write,
        };
        let code = error.code();
        let retryable = code == FailureCode::DestinationUnreachable;
        Self { error: DeliveryError::new(code, error.to_string()), step, retryable, retry_after: None }
    }

    /// Classifies a status other than 2xx.
    pub(super) fn of_status(url: &Url, status: StatusCode, retry_after: Option<Duration>) -> Self {
        let code = match status.as_u16() {
            401 => FailureCode::AuthenticationFailed,
            403 => FailureCode::DestinationDenied,
            413 => FailureCode::LimitExceeded,
            429 => FailureCode::DestinationThrottled,
            507 => FailureCode::DestinationFull,
            408 | 425 | 500..=599 => FailureCode::DestinationUnreachable,
            _ => FailureCode::DestinationRefused,
        };
        let hint = if status.is_redirection() { "; redirects are not followed" } else { "" };
        let detail = format!("{} answered with status {}{hint}", url.host_str().unwrap_or_default(), status.as_u16());
        let step = if matches!(status.as_u16(), 401 | 403) { CheckStep::Authenticate } else { CheckStep::Write };
        Self { error: DeliveryError::new(code, detail), step, retryable: code.is_retryable(), retry_after }
    }
}
