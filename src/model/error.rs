//! The error type shared by all layers.
//!
//! Operations and the store return this type; `grpc/status.rs` converts it to a status with details. Errors made by the
//! caller are described to the caller; internal causes are logged and not returned.

use std::fmt;
use std::time::Duration;

use super::cannot_run::CannotRun;
use super::violations::Violations;
use super::{FailureCode, Role};

/// A result with the shared error type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an argument is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// The value of a field is not acceptable.
    Field,
    /// A field that is immutable, or changed only by another RPC, was changed.
    Immutable,
    /// The `request_id` was used before with a different request.
    RequestIdReused,
    /// The page token was not produced by a call with these arguments.
    PageToken,
    /// The cursor was not produced by this stream.
    Cursor,
    /// The schedule fires more often than the connection type permits.
    ScheduleTooFrequent {
        /// The shortest permitted interval.
        min_interval_seconds: u64,
    },
    /// The schedule has no occurrence in the next five years.
    ScheduleNeverFires,
    /// The body is not a valid message of the expected type.
    Undecodable,
}

/// A kind of resource, as named in error details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// `connectionTypes/*`
    ConnectionType,
    /// `organizations/*/connections/*`
    Connection,
    /// `organizations/*/exports/*`
    Export,
    /// `organizations/*/exports/*/runs/*`
    ExportRun,
    /// `organizations/*/datasets/*`
    Dataset,
}

/// An export that blocks the deletion of a connection, as listed in the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Resource name.
    pub name: String,
    /// Display name.
    pub display_name: String,
}

/// The current state of the resource does not allow the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The connection is used by exports and cannot be deleted.
    ConnectionInUse {
        /// Resource name of the connection.
        connection: String,
        /// Number of attached exports.
        blocking_export_count: u64,
        /// Identifies the set of attached exports.
        blocking_set_etag: String,
        /// The first of them, in order of attachment.
        first: Vec<Blocker>,
    },
    /// The set to detach is larger than the limit of one call.
    BlockingSetTooLarge {
        /// Resource name of the connection.
        connection: String,
        /// Number of attached exports.
        blocking_export_count: u64,
        /// Maximum number of exports that one call may detach.
        limit: u64,
    },
    /// Fields that determine the destination or the identity used there changed without the credential being entered
    /// again.
    CredentialReentryRequired {
        /// Paths of these fields.
        changed_binding_fields: Vec<String>,
    },
    /// The export's settings do not fit the type of the connection.
    ConnectionTypeMismatch {
        /// Resource name of the export.
        export: String,
        /// Connection type that its settings are for.
        export_type: String,
        /// Type of the connection.
        connection_type: String,
        /// What does not fit.
        violations: Violations,
    },
    /// The export cannot run.
    CannotRun(CannotRun),
    /// The connection has no credential to test it with.
    CredentialRequired {
        /// Resource name of the connection.
        connection: String,
    },
    /// Checks of the new credential failed.
    CredentialTestFailed {
        /// `STEP: CODE` of each failed check.
        failed_checks: Vec<String>,
    },
    /// Another export on the connection writes files of the same names.
    FileNameInUse {
        /// Resource name of the export.
        export: String,
        /// Resource name of the other export.
        other: String,
    },
    /// A run of the export would fail.
    PreviewFailed {
        /// The cause of the failure.
        code: FailureCode,
    },
}

/// The call conflicted with another one; the caller may read the resource again and retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The etag in the request is not the current one.
    EtagMismatch {
        /// Resource name.
        name: String,
    },
    /// An export was attached after the blocking set was read.
    BlockingSetChanged {
        /// Resource name of the connection.
        connection: String,
    },
    /// A lock or serialization failure, for which a transaction is retried first.
    Conflict,
}

/// A dependency is temporarily unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The database does not respond.
    Database,
    /// The signing keys of the issuer are not available.
    IdentityKeys,
    /// The source of the datasets does not respond.
    Dataset,
    /// The server is shutting down.
    Draining,
}

/// A limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// A resource that callers share is used up, or the caller holds as much of it as one may hold.
    Share {
        /// Name of the resource.
        resource: &'static str,
        /// Whose limit was reached.
        limit: ShareLimit,
    },
    /// The organization has as many resources, or writes as often, as its quota allows.
    Quota {
        /// Name of the quota.
        quota: &'static str,
        /// How many it permits.
        limit: u64,
        /// When the next call can succeed; `None`: not by itself.
        retry_delay: Option<Duration>,
    },
    /// The organization makes more expensive calls than one may make.
    RateLimited {
        /// When the next call can succeed.
        retry_delay: Duration,
    },
}

/// A limit on what callers hold of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareLimit {
    /// Everything is held.
    Total,
    /// The organization holds its share.
    Organization,
    /// The principal holds its share.
    Principal,
    /// The connection of the client has as many as it may have.
    Connection,
}

impl ShareLimit {
    /// The name in errors and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Organization => "organization",
            Self::Principal => "principal",
            Self::Connection => "connection",
        }
    }
}

/// Every way in which a call can fail.
#[derive(Debug)]
pub enum Error {
    /// There is no valid authentication.
    Unauthenticated,
    /// The method needs a role that the caller lacks.
    RoleRequired(Role),
    /// The caller has no permission on the resource, or it does not exist; the two are not distinguished.
    NotPermitted(String),
    /// Only administrators and the owner can change the owner of an export.
    OwnerRequired {
        /// Name of the export.
        name: String,
        /// The user or group that owns it now.
        owner: String,
    },
    /// The resource does not exist; returned only to callers who may know that.
    NotFound(ResourceKind, String),
    /// The chosen id is in use.
    AlreadyExists(ResourceKind, String),
    /// The request is invalid.
    Invalid(Invalid, Violations),
    /// The current state does not allow the operation.
    Precondition(Box<Precondition>),
    /// The call conflicted with another one.
    Aborted(Abort),
    /// The cursor is older than the retention of releases.
    CursorExpired,
    /// A limit was reached.
    Exhausted(Exhausted),
    /// A dependency is temporarily unavailable.
    Unavailable(Unavailable),
    /// The deadline of the call has passed.
    DeadlineExceeded,
    /// The message of the call did not arrive in time.
    RequestTimeout,
    /// A server fault; the cause is for the log only.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error with one field violation.
    pub fn invalid(field: impl AsRef<str>, description: impl AsRef<str>) -> Self {
        Self::invalid_as(Invalid::Field, field, description)
    }

    /// An error with one field violation and a specific reason.
    pub fn invalid_as(reason: Invalid, field: impl AsRef<str>, description: impl AsRef<str>) -> Self {
        let mut violations = Violations::new();
        violations.add(field, description);
        Self::Invalid(reason, violations)
    }

    /// The caller has no permission on the resource, or it does not exist.
    pub fn not_permitted(name: impl fmt::Display) -> Self {
        Self::NotPermitted(name.to_string())
    }

    /// A server fault.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl Violations {
    /// `Ok` if there are no violations, otherwise `INVALID_FIELD` with all of them.
    pub fn into_result(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::Invalid(Invalid::Field, self)) }
    }
}

/// For operators: includes internal causes. Responses have their own messages.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated => formatter.write_str("unauthenticated"),
            Self::RoleRequired(role) => write!(formatter, "the role {} is required", role.as_str()),
            Self::NotPermitted(name) => write!(formatter, "not permitted on {name}"),
            Self::OwnerRequired { name, .. } => write!(formatter, "not permitted to change the owner of {name}"),
            Self::NotFound(_, name) => write!(formatter, "{name} not found"),
            Self::AlreadyExists(_, name) => write!(formatter, "{name} already exists"),
            Self::Invalid(_, violations) => write!(formatter, "invalid request: {violations}"),
            Self::Precondition(precondition) => precondition.fmt(formatter),
            Self::Aborted(abort) => abort.fmt(formatter),
            Self::CursorExpired => formatter.write_str("cursor expired"),
            Self::Exhausted(Exhausted::Share { resource, limit }) => {
                write!(formatter, "limit of {resource} reached: {}", limit.as_str())
            }
            Self::Exhausted(Exhausted::Quota { quota, limit, .. }) => {
                write!(formatter, "quota of {quota} reached: {limit}")
            }
            Self::Exhausted(Exhausted::RateLimited { .. }) => formatter.write_str("rate limited"),
            Self::Unavailable(Unavailable::Database) => formatter.write_str("database unavailable"),
            Self::Unavailable(Unavailable::IdentityKeys) => formatter.write_str("issuer keys unavailable"),
            Self::Unavailable(Unavailable::Dataset) => formatter.write_str("datasets unavailable"),
            Self::Unavailable(Unavailable::Draining) => formatter.write_str("shutting down"),
            Self::DeadlineExceeded => formatter.write_str("deadline exceeded"),
            Self::RequestTimeout => formatter.write_str("the request did not arrive in time"),
            Self::Internal(cause) => {
                cause.fmt(formatter)?;
                match cause.source() {
                    Some(source) if !cause.to_string().contains(&source.to_string()) => {
                        write!(formatter, ": {source}")
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Precondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionInUse { connection, blocking_export_count, .. } => {
                write!(formatter, "{connection} is used by {blocking_export_count} exports")
            }
            Self::BlockingSetTooLarge { connection, blocking_export_count, limit } => {
                write!(formatter, "{connection} has {blocking_export_count} exports, more than {limit}")
            }
            Self::CredentialReentryRequired { changed_binding_fields } => {
                write!(formatter, "{} changed without the credential", changed_binding_fields.join(", "))
            }
            Self::ConnectionTypeMismatch { export, connection_type, .. } => {
                write!(formatter, "the settings of {export} do not fit {connection_type}")
            }
            Self::CannotRun(cause) => cause.fmt(formatter),
            Self::CredentialRequired { connection } => write!(formatter, "{connection} has no credential"),
            Self::CredentialTestFailed { failed_checks } => {
                write!(formatter, "checks of the credential failed: {}", failed_checks.join(", "))
            }
            Self::FileNameInUse { export, other } => write!(formatter, "{export} would write files of {other}"),
            Self::PreviewFailed { code } => write!(formatter, "a run would fail: {}", code.as_str()),
        }
    }
}

impl fmt::Display for Abort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EtagMismatch { name } => write!(formatter, "the etag of {name} is stale"),
            Self::BlockingSetChanged { connection } => write!(formatter, "the exports of {connection} changed"),
            Self::Conflict => formatter.write_str("conflicted with a concurrent change"),
        }
    }
}

impl From<Precondition> for Error {
    fn from(precondition: Precondition) -> Self {
        Self::Precondition(Box::new(precondition))
    }
}

impl From<CannotRun> for Error {
    fn from(cause: CannotRun) -> Self {
        Precondition::CannotRun(cause).into()
    }
}

impl From<Abort> for Error {
    fn from(abort: Abort) -> Self {
        Self::Aborted(abort)
    }
}
