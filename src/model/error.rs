//! The one error of the product.
//!
//! Every layer below gRPC speaks this type; `grpc/status.rs` alone turns it into a status with details.
//! A caller's mistake is named to the caller; an internal cause goes to the log and nowhere else.

use std::fmt;

use super::Role;

/// What every fallible function below gRPC returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path as in the request, dotted: `connection.properties.host`.
    pub field: String,
    /// What is wrong and what would be right; never a secret's value.
    pub description: String,
}

/// Everything wrong with a request, gathered so that a caller learns of all of it at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one violation.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation { field: field.into(), description: description.into() });
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what another check found.
    pub fn extend(&mut self, other: Violations) {
        self.0.extend(other.0);
    }

    /// The violations in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &FieldViolation> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `Ok` when nothing is wrong, `INVALID_FIELD` with all of it otherwise.
    pub fn into_result(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::Invalid(Invalid::Field, self)) }
    }
}

/// Why an argument is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A field's value is not acceptable.
    Field,
    /// A field that cannot be changed was changed, or must be changed by another RPC.
    Immutable,
    /// The `request_id` was already used with other content.
    RequestIdReused,
    /// The page token was not made by this call's arguments.
    PageToken,
    /// The cursor was not made by this stream.
    Cursor,
    /// The schedule fires more often than its connection type permits.
    ScheduleTooFrequent {
        /// The shortest permitted interval.
        min_interval_seconds: u64,
    },
    /// The schedule has no occurrence in the next five years.
    ScheduleNeverFires,
    /// The bytes are no message of the expected type.
    Undecodable,
}

/// A kind of resource, as error details name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// `connectionTypes/*`
    ConnectionType,
    /// `organizations/*/connections/*`
    Connection,
    /// `organizations/*/exports/*`
    Export,
}

/// An export that keeps a connection from being removed, as a refusal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// Resource name.
    pub name: String,
    /// Display name.
    pub display_name: String,
}

/// The state of things forbids what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The connection to be removed is used by exports.
    ConnectionInUse {
        /// Its resource name.
        connection: String,
        /// How many exports are attached.
        blocking_export_count: u64,
        /// Names the set of attached exports.
        blocking_set_etag: String,
        /// The first of them, in order of attachment.
        first: Vec<Blocker>,
    },
    /// The set to be detached in one call is larger than a call may be.
    BlockingSetTooLarge {
        /// The connection's resource name.
        connection: String,
        /// How many exports are attached.
        blocking_export_count: u64,
        /// How many a call may detach.
        limit: u64,
    },
    /// Fields that decide where or as whom we connect changed without the credential being given again.
    CredentialReentryRequired {
        /// Their paths.
        changed_binding_fields: Vec<String>,
    },
    /// The export's settings do not fit the type of the connection.
    ConnectionTypeMismatch {
        /// The export's resource name.
        export: String,
        /// The type that its settings are for.
        export_type: String,
        /// The type of the connection.
        connection_type: String,
        /// What does not fit.
        violations: Violations,
    },
}

/// The call lost a race; the caller may read again and repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The etag in the request is not the resource's any more.
    EtagMismatch {
        /// The resource's name.
        name: String,
    },
    /// An export was attached since the blocking set was shown.
    BlockingSetChanged {
        /// The connection's resource name.
        connection: String,
    },
    /// A lock or serialization failure outlived its retries.
    Conflict,
}

/// Something that the call needs is not there for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The database does not answer.
    Database,
    /// The issuer's keys cannot be had.
    IdentityKeys,
    /// The server is shutting down.
    Draining,
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// More calls in flight than the server takes.
    Overloaded,
    /// More of one kind than a principal may have.
    RateLimited,
}

/// Every way in which a call can fail.
#[derive(Debug)]
pub enum Error {
    /// No caller, or none that can be believed.
    Unauthenticated,
    /// The method needs a role that the caller lacks.
    RoleRequired(Role),
    /// The caller has no right on the resource of this name (or it might not exist).
    NotPermitted(String),
    /// The resource does not exist; said only to those who may know.
    NotFound(ResourceKind, String),
    /// The chosen id is taken.
    AlreadyExists(ResourceKind, String),
    /// The request itself is wrong.
    Invalid(Invalid, Violations),
    /// The state of things forbids it.
    Precondition(Box<Precondition>),
    /// A race was lost.
    Aborted(Abort),
    /// The cursor is older than what is kept.
    CursorExpired,
    /// A limit is reached.
    Exhausted(Exhausted),
    /// Not now.
    Unavailable(Unavailable),
    /// The call's time is over.
    DeadlineExceeded,
    /// A fault of ours; the cause is for the log.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One bad field.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid_as(Invalid::Field, field, description)
    }

    /// One bad field, with a reason of its own.
    pub fn invalid_as(reason: Invalid, field: impl Into<String>, description: impl Into<String>) -> Self {
        let mut violations = Violations::new();
        violations.add(field, description);
        Self::Invalid(reason, violations)
    }

    /// The caller may not, or the resource might not exist: one answer for both.
    pub fn not_permitted(name: impl fmt::Display) -> Self {
        Self::NotPermitted(name.to_string())
    }

    /// A fault of ours.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

/// For operators: what failed, with internal causes. The wire has messages of its own.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthenticated => formatter.write_str("unauthenticated"),
            Self::RoleRequired(role) => write!(formatter, "the role {} is required", role.as_str()),
            Self::NotPermitted(name) => write!(formatter, "not permitted on {name}"),
            Self::NotFound(_, name) => write!(formatter, "{name} not found"),
            Self::AlreadyExists(_, name) => write!(formatter, "{name} already exists"),
            Self::Invalid(_, violations) => write!(formatter, "invalid request: {violations}"),
            Self::Precondition(precondition) => precondition.fmt(formatter),
            Self::Aborted(abort) => abort.fmt(formatter),
            Self::CursorExpired => formatter.write_str("cursor expired"),
            Self::Exhausted(Exhausted::Overloaded) => formatter.write_str("overloaded"),
            Self::Exhausted(Exhausted::RateLimited) => formatter.write_str("rate limited"),
            Self::Unavailable(Unavailable::Database) => formatter.write_str("database unavailable"),
            Self::Unavailable(Unavailable::IdentityKeys) => formatter.write_str("issuer keys unavailable"),
            Self::Unavailable(Unavailable::Draining) => formatter.write_str("shutting down"),
            Self::DeadlineExceeded => formatter.write_str("deadline exceeded"),
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

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, FieldViolation { field, description }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{field} {description}")?;
        }
        Ok(())
    }
}

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

impl From<Abort> for Error {
    fn from(abort: Abort) -> Self {
        Self::Aborted(abort)
    }
}
