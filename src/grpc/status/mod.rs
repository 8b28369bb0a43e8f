//! Converts errors to statuses with code, message and machine-readable details.
//!
//! A status stays under 6 KiB as sent: clients refuse trailers over 8 KiB and then report another error instead (gRPC
//! core, `GRPC_ARG_MAX_METADATA_SIZE`).

mod builder;
mod preconditions;

use std::time::Duration;

use http::HeaderMap;
use http_body::Frame;
use tonic::{Code, Status};
use uuid::Uuid;

use super::proto::ErrorReason;
use crate::model::{Abort, Error, Exhausted, Invalid, ResourceKind, ShareLimit, Unavailable, Violations};
pub use builder::DOMAIN;
use builder::{StatusBuilder, kind_name};
use preconditions::failed_precondition;

/// RetryInfo after a conflict.
const SHORT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// RetryInfo for an overload or an outage.
const LONG_RETRY_DELAY: Duration = Duration::from_secs(1);

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        to_status(error).into_status()
    }
}

fn to_status(error: Error) -> StatusBuilder {
    use ErrorReason as Reason;
    match error {
        Error::Unauthenticated => {
            StatusBuilder::new(Code::Unauthenticated, Reason::Unauthenticated, "a valid bearer token is required")
        }
        Error::RoleRequired(role) => {
            let message = format!("this method requires the role {}", role.as_str());
            StatusBuilder::new(Code::PermissionDenied, Reason::RoleRequired, message).with("role", &role.as_str())
        }
        Error::NotPermitted(name) => {
            let message = format!("permission denied on {name} (or it might not exist)");
            StatusBuilder::new(Code::PermissionDenied, Reason::NotPermitted, message).resource("", &name)
        }
        Error::OwnerRequired { name, owner } => {
            let message = format!("only administrators and the owner, {owner}, can change the owner of {name}");
            StatusBuilder::new(Code::PermissionDenied, Reason::NotPermitted, message).resource("", &name)
        }
        Error::NotFound(kind, name) => {
            StatusBuilder::new(Code::NotFound, Reason::ResourceNotFound, format!("{name} not found"))
                .resource(kind_name(kind), &name)
        }
        Error::AlreadyExists(kind, name) => {
            StatusBuilder::new(Code::AlreadyExists, Reason::ResourceExists, format!("{name} already exists"))
                .resource(kind_name(kind), &name)
        }
        Error::Invalid(invalid, violations) => invalid_argument(invalid, &violations),
        Error::Precondition(precondition) => failed_precondition(*precondition),
        Error::Aborted(abort) => aborted(abort),
        Error::CursorExpired => {
            let message = "the cursor is too old; restart without it";
            StatusBuilder::new(Code::OutOfRange, Reason::CursorExpired, message)
        }
        Error::Exhausted(exhausted) => resource_exhausted(exhausted),
        Error::Unavailable(unavailable) => {
            let (reason, message) = match unavailable {
                Unavailable::Database => (Reason::DatabaseUnavailable, "the database is unavailable; retry later"),
                Unavailable::IdentityKeys => {
                    (Reason::IdentityKeysUnavailable, "tokens cannot be verified at the moment; retry later")
                }
                Unavailable::Dataset => {
                    (Reason::DatasetUnavailable, "the source of the datasets is unavailable; retry later")
                }
                Unavailable::Draining => (Reason::Draining, "the server is shutting down; retry on another server"),
            };
            StatusBuilder::new(Code::Unavailable, reason, message).retry(LONG_RETRY_DELAY)
        }
        Error::DeadlineExceeded => StatusBuilder::new(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            "the deadline was exceeded; the call may have taken effect, so retry it with the same request_id",
        ),
        Error::RequestTimeout => {
            let message = "the request message did not arrive in time; nothing was changed";
            StatusBuilder::new(Code::DeadlineExceeded, Reason::RequestTimeout, message)
        }
        Error::Internal(cause) => internal(&*cause),
    }
}

/// The name of a code, as metrics label it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// An internal error: its cause is logged with an id, and the caller gets the id.
fn internal(cause: &(dyn std::error::Error + Send + Sync)) -> StatusBuilder {
    let error_id = Uuid::new_v4();
    tracing::error!(%error_id, error = %cause, cause = ?cause.source().map(ToString::to_string), "call failed");
    let message = format!("internal error {error_id}");
    StatusBuilder::new(Code::Internal, ErrorReason::Internal, message).with("error_id", &error_id)
}

/// The trailers of a response that ends with an error after its headers were sent.
pub fn trailers<D>(error: Error) -> Result<Frame<D>, axum::Error> {
    let mut trailers = HeaderMap::new();
    Status::from(error).add_header(&mut trailers).map_err(axum::Error::new)?;
    Ok(Frame::trailers(trailers))
}

/// The status of a call whose handler panicked. The panic is already logged.
pub fn panicked() -> Status {
    Error::internal("a handler panicked").into()
}

/// The status of a call to a method that does not exist.
pub fn unknown_method() -> Status {
    StatusBuilder::new(Code::Unimplemented, ErrorReason::Unimplemented, "unknown method").into_status()
}

/// Replaces a status that tonic returned before a handler was called: with UNIMPLEMENTED, or with INVALID_ARGUMENT for
/// a malformed request, and with details.
pub fn from_tonic(status: &Status) -> Status {
    let message = status.message();
    let builder = if status.code() == Code::Unimplemented {
        // An unknown compression. The metadata names the supported ones.
        StatusBuilder::new(Code::Unimplemented, ErrorReason::Unimplemented, message)
    } else {
        to_status(Error::invalid_as(Invalid::Undecodable, "", format!("the request cannot be decoded: {message}")))
    };
    let mut with_details = builder.into_status();
    *with_details.metadata_mut() = status.metadata().clone();
    with_details
}

fn invalid_argument(invalid: Invalid, violations: &Violations) -> StatusBuilder {
    let reason = match invalid {
        Invalid::Field => ErrorReason::InvalidField,
        Invalid::Immutable => ErrorReason::ImmutableField,
        Invalid::RequestIdReused => ErrorReason::RequestIdReused,
        Invalid::PageToken => ErrorReason::PageTokenInvalid,
        Invalid::Cursor => ErrorReason::CursorInvalid,
        Invalid::ScheduleTooFrequent { .. } => ErrorReason::ScheduleTooFrequent,
        Invalid::ScheduleNeverFires => ErrorReason::ScheduleNeverFires,
        Invalid::Undecodable => ErrorReason::Undecodable,
    };
    let first = violations.iter().next();
    let message = match (first, violations.len()) {
        (None, _) => "the request is invalid".to_owned(),
        (Some(first), 1) => format!("{} {}", first.field, first.description),
        (Some(first), count) => format!("{} {} (and {} more)", first.field, first.description, count - 1),
    };
    let builder = StatusBuilder::new(Code::InvalidArgument, reason, message.trim_start()).violations(violations);
    if let Invalid::ScheduleTooFrequent { min_interval_seconds } = invalid {
        builder.with("min_interval_seconds", &min_interval_seconds)
    } else {
        builder
    }
}

fn resource_exhausted(exhausted: Exhausted) -> StatusBuilder {
    match exhausted {
        Exhausted::Share { resource, limit } => {
            let (reason, holder) = match limit {
                ShareLimit::Total => (ErrorReason::Overloaded, "all callers together hold"),
                ShareLimit::Organization => (ErrorReason::RateLimited, "the organization holds"),
                ShareLimit::Principal => (ErrorReason::RateLimited, "the principal holds"),
                ShareLimit::Connection => (ErrorReason::RateLimited, "the connection holds"),
            };
            let message = format!("{holder} as much of {resource} as this server permits; retry later");
            StatusBuilder::new(Code::ResourceExhausted, reason, message)
                .with("resource", &resource)
                .with("scope", &limit.as_str())
                .retry(LONG_RETRY_DELAY)
        }
        Exhausted::Quota { quota, limit, retry_delay } => {
            let message = match retry_delay {
                Some(_) => format!("the organization may write {limit} times per second; retry later"),
                None => format!("the organization may have {limit} {quota}; delete some, or ask the operator for more"),
            };
            let status = StatusBuilder::new(Code::ResourceExhausted, ErrorReason::QuotaExceeded, message)
                .with("quota", &quota)
                .with("limit", &limit);
            match retry_delay {
                Some(delay) => status.retry(delay),
                None => status,
            }
        }
        Exhausted::RateLimited { retry_delay } => {
            let message = "the organization tests connections or previews exports too often; retry later";
            StatusBuilder::new(Code::ResourceExhausted, ErrorReason::RateLimited, message).retry(retry_delay)
        }
    }
}

fn aborted(abort: Abort) -> StatusBuilder {
    match abort {
        Abort::EtagMismatch { name } => {
            let message = format!("{name} was changed after its etag was read; read it again");
            StatusBuilder::new(Code::Aborted, ErrorReason::EtagMismatch, message).resource("", &name)
        }
        Abort::BlockingSetChanged { connection } => {
            let message = "an export was attached after the set was listed; list it again";
            StatusBuilder::new(Code::Aborted, ErrorReason::BlockingSetChanged, message)
                .with("connection", &connection)
                .resource(kind_name(ResourceKind::Connection), &connection)
        }
        Abort::Conflict => {
            let message = "the call conflicted with a concurrent change; retry it";
            StatusBuilder::new(Code::Aborted, ErrorReason::Conflict, message).retry(SHORT_RETRY_DELAY)
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::model::{Blocker, Precondition, limits};

    /// Bytes of a status as sent: base64 and percent-encoding included.
    fn sent(status: &Status) -> usize {
        let http = status.clone().into_http::<tonic::body::Body>();
        http.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
    }

    #[test]
    fn the_longest_refusals_stay_under_six_kibibytes() {
        let organization = "o".repeat(63);
        let blocker = |number: usize| Blocker {
            name: format!("organizations/{organization}/exports/{number:x>63}"),
            display_name: "🦀".repeat(limits::MAX_DISPLAY_NAME_CHARS),
        };
        let status: Status = Error::from(Precondition::ConnectionInUse {
            connection: format!("organizations/{organization}/connections/{organization}"),
            blocking_export_count: 1_000_000,
            blocking_set_etag: "e".repeat(40),
            first: (0..20).map(blocker).collect(),
        })
        .into();
        assert!(sent(&status) < 6 * 1024, "{}", sent(&status));
        let details = status.get_error_details();
        assert_eq!(details.precondition_failure().map(|failure| failure.violations.len()), Some(20));

        let mut violations = Violations::new();
        for number in 0..1_000 {
            violations.add(format!("export.payload.tables[{number}].fields[{number}].output_name"), "ü".repeat(80));
        }
        let status: Status = Error::Invalid(Invalid::Field, violations).into();
        assert!(sent(&status) < 6 * 1024, "{}", sent(&status));
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().and_then(|info| info.metadata.get("violation_count").cloned()),
            Some("1000".into())
        );
        assert!(details.bad_request().is_some_and(|bad| bad.field_violations.len() > 10));
    }

    #[test]
    fn a_message_is_measured_as_it_is_sent() {
        let name = "\u{10ffff}".repeat(1_000);
        let mut violations = Violations::new();
        for _ in 0..1_000 {
            violations.add(&name[..400], &name[..400]);
        }
        for error in [
            Error::NotPermitted(name.clone()),
            Error::NotFound(ResourceKind::Connection, name.clone()),
            Error::AlreadyExists(ResourceKind::Export, name.clone()),
            Error::Invalid(Invalid::Field, violations),
        ] {
            let status: Status = error.into();
            assert!(sent(&status) < 6 * 1024, "{}", sent(&status));
            assert!(status.get_error_details().error_info().is_some());
        }
    }
}
