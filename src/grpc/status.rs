//! The one way from an error to a status: code, words, and details that a program can act on.
//!
//! Statuses stay under 6 KiB as sent, for clients refuse trailers over 8 KiB and then show another error instead
//! (gRPC core, `GRPC_ARG_MAX_METADATA_SIZE`).

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt as _};
use uuid::Uuid;

use super::proto::ErrorReason;
use crate::model::{Abort, Blocker, Error, Exhausted, Invalid, ResourceKind, Precondition, Unavailable, Violations, limits};

/// `ErrorInfo.domain` of every status.
pub const DOMAIN: &str = "outflow";
/// Bytes of all violations of a status: with the rest, and in base64, under 6 KiB.
const VIOLATIONS_BYTES: usize = 3_700;
/// Characters of a display name within a status.
const DISPLAY_NAME_CHARS: usize = 60;
/// Characters of the words of a status.
const MESSAGE_CHARS: usize = 300;
/// Fields that a refusal names one by one.
const FIELDS_NAMED: usize = 20;
/// When a caller may try again, for what passes quickly.
const RETRY_SOON: Duration = Duration::from_millis(100);
/// When a caller may try again, for what takes a while.
const RETRY_LATER: Duration = Duration::from_secs(1);

/// A status in the making.
struct Answer {
    code: Code,
    message: String,
    reason: ErrorReason,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
}

impl Answer {
    fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason, metadata: HashMap::new(), details: ErrorDetails::new() }
    }

    fn with(mut self, key: &str, value: &impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    fn retry(mut self, after: Duration) -> Self {
        self.details.set_retry_info(Some(after));
        self
    }

    fn resource(mut self, kind: &str, name: &str) -> Self {
        self.details.set_resource_info(kind, cut(name, MESSAGE_CHARS), "", "");
        self
    }

    fn violations(mut self, violations: &Violations) -> Self {
        let size = |violation: &&crate::model::FieldViolation| violation.field.len() + violation.description.len() + 8;
        let fitting = fitting(violations.iter(), size);
        let list = fitting.iter().map(|found| FieldViolation::new(found.field.as_str(), found.description.as_str()));
        self.details.set_bad_request(list.collect::<Vec<_>>());
        self.with("violation_count", &violations.len())
    }

    fn into_status(mut self) -> Status {
        let reason = self.reason.as_str_name().trim_start_matches("ERROR_REASON_");
        self.details.set_error_info(reason, DOMAIN, self.metadata);
        Status::with_error_details(self.code, cut(&self.message, MESSAGE_CHARS), self.details)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        answer(error).into_status()
    }
}

fn answer(error: Error) -> Answer {
    use ErrorReason as Reason;
    match error {
        Error::Unauthenticated => {
            Answer::new(Code::Unauthenticated, Reason::Unauthenticated, "valid credentials are required")
        }
        Error::RoleRequired(role) => {
            let message = format!("this method needs the role {}", role.as_str());
            Answer::new(Code::PermissionDenied, Reason::RoleRequired, message).with("role", &role.as_str())
        }
        Error::NotPermitted(name) => {
            let message = format!("not permitted on {name} (or it might not exist)");
            Answer::new(Code::PermissionDenied, Reason::NotPermitted, message).resource("", &name)
        }
        Error::NotFound(kind, name) => {
            Answer::new(Code::NotFound, Reason::ResourceNotFound, format!("{name} not found"))
                .resource(kind_name(kind), &name)
        }
        Error::AlreadyExists(kind, name) => {
            Answer::new(Code::AlreadyExists, Reason::ResourceExists, format!("{name} exists already"))
                .resource(kind_name(kind), &name)
        }
        Error::Invalid(invalid, violations) => invalid_argument(invalid, &violations),
        Error::Precondition(precondition) => failed_precondition(*precondition),
        Error::Aborted(abort) => aborted(abort),
        Error::CursorExpired => {
            let message = "the cursor is older than what is kept: begin again without it";
            Answer::new(Code::OutOfRange, Reason::CursorExpired, message)
        }
        Error::Exhausted(Exhausted::Overloaded) => {
            Answer::new(Code::ResourceExhausted, Reason::Overloaded, "too many calls at once").retry(RETRY_LATER)
        }
        Error::Exhausted(Exhausted::RateLimited) => {
            Answer::new(Code::ResourceExhausted, Reason::RateLimited, "too many streams at once").retry(RETRY_LATER)
        }
        Error::Unavailable(unavailable) => {
            let (reason, message) = match unavailable {
                Unavailable::Database => (Reason::DatabaseUnavailable, "the database does not answer"),
                Unavailable::IdentityKeys => (Reason::IdentityKeysUnavailable, "identities cannot be verified for now"),
                Unavailable::Draining => (Reason::Draining, "the server is shutting down"),
            };
            Answer::new(Code::Unavailable, reason, message).retry(RETRY_LATER)
        }
        Error::DeadlineExceeded => Answer::new(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            "the deadline has passed; the call may have had its effect: repeat it with the same request_id",
        ),
        Error::Internal(cause) => internal(&*cause),
    }
}

/// A fault of ours: the cause goes to the log, under an id that the caller gets.
fn internal(cause: &(dyn std::error::Error + Send + Sync)) -> Answer {
    let error_id = Uuid::new_v4();
    tracing::error!(%error_id, error = %cause, cause = ?cause.source().map(ToString::to_string), "a call failed");
    let message = format!("internal error {error_id}");
    Answer::new(Code::Internal, ErrorReason::Internal, message).with("error_id", &error_id)
}

/// The answer to a call whose handler panicked; the panic itself is on the log.
pub fn panicked() -> Status {
    Error::internal("a handler panicked").into()
}

/// The answer to a call of a method that is not there.
pub fn unimplemented() -> Status {
    Answer::new(Code::Unimplemented, ErrorReason::Unimplemented, "there is no such method").into_status()
}

/// A status that the library made before a handler was called, in our words: its faults are those of the bytes that came.
pub fn of_library(status: &Status) -> Status {
    let words = status.message();
    let answer = if status.code() == Code::Unimplemented {
        // A compression that is not understood; which are stands in its metadata.
        Answer::new(Code::Unimplemented, ErrorReason::Unimplemented, words)
    } else {
        answer(Error::invalid_as(Invalid::Undecodable, "", format!("the request cannot be read: {words}")))
    };
    let mut explained = answer.into_status();
    *explained.metadata_mut() = status.metadata().clone();
    explained
}

fn invalid_argument(invalid: Invalid, violations: &Violations) -> Answer {
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
        (None, _) => "the request is not acceptable".to_owned(),
        (Some(first), 1) => format!("{} {}", first.field, first.description),
        (Some(first), count) => format!("{} {} (and {} more)", first.field, first.description, count - 1),
    };
    let answer = Answer::new(Code::InvalidArgument, reason, message.trim_start()).violations(violations);
    match invalid {
        Invalid::ScheduleTooFrequent { min_interval_seconds } => {
            answer.with("min_interval_seconds", &min_interval_seconds)
        }
        Invalid::Field
        | Invalid::Immutable
        | Invalid::RequestIdReused
        | Invalid::PageToken
        | Invalid::Cursor
        | Invalid::ScheduleNeverFires
        | Invalid::Undecodable => answer,
    }
}

fn failed_precondition(precondition: Precondition) -> Answer {
    let new = |reason, message: String| Answer::new(Code::FailedPrecondition, reason, message);
    match precondition {
        Precondition::ConnectionInUse { connection, blocking_export_count, blocking_set_etag, first } => {
            let exports = if blocking_export_count == 1 { "export uses" } else { "exports use" };
            let message = format!("{blocking_export_count} {exports} this connection: see StreamBlockingExports");
            let mut answer = new(ErrorReason::ConnectionInUse, message)
                .with("blocking_export_count", &blocking_export_count)
                .with("blocking_set_etag", &blocking_set_etag)
                .with("violation_count", &first.len())
                .resource(kind_name(ResourceKind::Connection), &connection);
            answer.details.set_precondition_failure(blockers(&first));
            answer.details.add_help_link(
                "streams every blocking export; BatchDetachExports detaches the set that was shown",
                "/outflow.v1.ConnectionService/StreamBlockingExports",
            );
            answer
        }
        Precondition::BlockingSetTooLarge { connection, blocking_export_count, limit } => {
            let message = format!(
                "{blocking_export_count} exports are attached, one call detaches at most {limit}: detach them by \
                 names, in batches of {} from StreamBlockingExports",
                limits::BATCH_NAMES
            );
            new(ErrorReason::BlockingSetTooLarge, message)
                .with("blocking_export_count", &blocking_export_count)
                .with("limit", &limit)
                .resource(kind_name(ResourceKind::Connection), &connection)
        }
        Precondition::CredentialReentryRequired { changed_binding_fields } => {
            let fields = cut(&changed_binding_fields.join(","), MESSAGE_CHARS);
            let message = format!("{fields} decide where or as whom we connect: give `credential` in the same request");
            let mut answer =
                new(ErrorReason::CredentialReentryRequired, message).with("changed_binding_fields", &fields);
            let violation = |field: &String| {
                PreconditionViolation::new("CREDENTIAL_REENTRY_REQUIRED", field, "needs the credential again")
            };
            answer.details.set_precondition_failure(
                changed_binding_fields.iter().take(FIELDS_NAMED).map(violation).collect::<Vec<_>>(),
            );
            answer
        }
        Precondition::ConnectionTypeMismatch { export, export_type, connection_type, violations } => {
            let message = format!(
                "the settings of {export} are for {export_type} and do not fit {connection_type}: give \
                 `destination_settings` with AttachExport"
            );
            new(ErrorReason::ConnectionTypeMismatch, message)
                .with("export_type", &export_type)
                .with("connection_type", &connection_type)
                .violations(&violations)
                .resource(kind_name(ResourceKind::Export), &export)
        }
    }
}

fn aborted(abort: Abort) -> Answer {
    match abort {
        Abort::EtagMismatch { name } => {
            let message = format!("{name} has changed since its etag was read: read it again");
            Answer::new(Code::Aborted, ErrorReason::EtagMismatch, message).resource("", &name)
        }
        Abort::BlockingSetChanged { connection } => {
            let message = "an export was attached since the set was shown: stream it again";
            Answer::new(Code::Aborted, ErrorReason::BlockingSetChanged, message)
                .with("connection", &connection)
                .resource(kind_name(ResourceKind::Connection), &connection)
        }
        Abort::Conflict => {
            let message = "another change was in the way: repeat the call";
            Answer::new(Code::Aborted, ErrorReason::Conflict, message).retry(RETRY_SOON)
        }
    }
}

/// One violation for each blocker; where resource names are long there is no room for what people call them.
fn blockers(first: &[Blocker]) -> Vec<PreconditionViolation> {
    let kind = "CONNECTION_IN_USE";
    let with_names_of = |chars: usize| {
        let size =
            |(blocker, display_name): &(&Blocker, String)| kind.len() + blocker.name.len() + display_name.len() + 12;
        let named = first.iter().map(|blocker| (blocker, cut(&blocker.display_name, chars)));
        fitting(named, size)
    };
    let mut fitted = with_names_of(DISPLAY_NAME_CHARS);
    if fitted.len() < first.len() {
        fitted = with_names_of(0);
    }
    let violation =
        |(blocker, display_name): (&Blocker, String)| PreconditionViolation::new(kind, &blocker.name, display_name);
    fitted.into_iter().map(violation).collect()
}

/// As many from the beginning as there is room for.
fn fitting<T>(items: impl Iterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<T> {
    let mut room = VIOLATIONS_BYTES;
    items
        .map_while(|item| {
            room = room.checked_sub(size(&item))?;
            Some(item)
        })
        .collect()
}

fn kind_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::ConnectionType => "outflow.v1.ConnectionType",
        ResourceKind::Connection => "outflow.v1.Connection",
        ResourceKind::Export => "outflow.v1.Export",
    }
}

/// The beginning of a text, without control characters.
fn cut(text: &str, chars: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            display_name: "🦀".repeat(limits::DISPLAY_NAME_CHARS),
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
}
