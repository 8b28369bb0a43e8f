//! Why a request was not accepted, and whether it is sent again.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use tokio_rustls::rustls;

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

    /// Classifies an error of the client. Its text is not used: it contains the URL.
    pub(super) fn of_error(url: &Url, error: &(dyn Error + 'static)) -> Self {
        let mut root = error;
        let mut cause = Cause::default();
        loop {
            cause.read(root);
            // The source of an io::Error is that of its inner error, which itself would be left out.
            let inner = root.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            match inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| root.source()) {
                Some(source) => root = source,
                None => break,
            }
        }
        let (step, code) = match cause {
            Cause { dial: Some((step, code)), .. } => (step, code),
            Cause { tls: true, .. } => (CheckStep::Tls, FailureCode::TlsFailed),
            Cause { .. } => (CheckStep::Write, FailureCode::DestinationUnreachable),
        };
        let detail = format!("a request to {} failed: {root}", host(url));
        let retryable = code == FailureCode::DestinationUnreachable;
        Self { error: DeliveryError::new(code, detail), step, retryable, retry_after: None }
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
        let detail = format!("{} answered with status {}{hint}", host(url), status.as_u16());
        let step = if matches!(status.as_u16(), 401 | 403) { CheckStep::Authenticate } else { CheckStep::Write };
        Self { error: DeliveryError::new(code, detail), step, retryable: code.is_retryable(), retry_after }
    }
}

/// What the chain of an error contains.
#[derive(Default)]
struct Cause {
    dial: Option<(CheckStep, FailureCode)>,
    tls: bool,
}

impl Cause {
    fn read(&mut self, error: &(dyn Error + 'static)) {
        if let Some(error) = error.downcast_ref::<DialError>() {
            let step = match error {
                DialError::Resolve { .. } | DialError::Forbidden { .. } => CheckStep::Resolve,
                DialError::Connect { .. } => CheckStep::Connect,
            };
            self.dial = Some((step, error.code()));
        }
        self.tls |= error.is::<rustls::Error>();
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}
