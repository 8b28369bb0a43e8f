//! Connections: each is the configuration of one link to an external service.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::json::{Labels, Object};
use super::token::{Etag, TokenKind};
use super::{Check, ConnectionName, ConnectionTypeId, ConnectionUid, Error, Member, Result, limits};

/// Whether exports on a connection can run and, if not, why; computed on every read, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Exports can run.
    Active,
    /// An administrator suspended the connection.
    Suspended,
    /// The type needs a credential and none is stored.
    CredentialMissing,
    /// The stored credential expired.
    CredentialExpired,
    /// The catalog no longer has the type.
    TypeUnknown,
}

/// Coarse form of [`Availability`], for display and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Exports can run.
    Active,
    /// An administrator suspended the connection.
    Suspended,
    /// The credential is missing or expired, or the type is unknown.
    CredentialRequired,
}

impl Availability {
    /// All values.
    pub const ALL: [Self; 5] =
        [Self::Active, Self::Suspended, Self::CredentialMissing, Self::CredentialExpired, Self::TypeUnknown];

    /// The state shown to callers.
    pub fn state(self) -> ConnectionState {
        match self {
            Self::Active => ConnectionState::Active,
            Self::Suspended => ConnectionState::Suspended,
            Self::CredentialMissing | Self::CredentialExpired | Self::TypeUnknown => {
                ConnectionState::CredentialRequired
            }
        }
    }
}

/// Who may use a connection, besides administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Every contributor of the organization.
    pub all_contributors: bool,
    /// These users and groups.
    pub members: BTreeSet<Member>,
}

impl Sharing {
    /// Whether the connection is shared with no one.
    pub fn is_empty(&self) -> bool {
        !self.all_contributors && self.members.is_empty()
    }
}

/// Metadata of a stored credential, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialStatus {
    /// Authentication method; `None` if no credential is stored.
    pub auth_method: Option<String>,
    /// Names of the credential fields that have a value.
    pub set_fields: Vec<String>,
    /// Incremented when a credential is stored or erased.
    pub revision: i64,
    /// Time at which the credential was stored.
    pub set_time: Option<DateTime<Utc>>,
    /// Expiry of the credential.
    pub expire_time: Option<DateTime<Utc>>,
}

/// A connection, as administrators see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Resource name.
    pub name: ConnectionName,
    /// Unique id, never reused.
    pub uid: ConnectionUid,
    /// Display name.
    pub display_name: String,
    /// Free-form description.
    pub description: String,
    /// Connection type.
    pub connection_type: ConnectionTypeId,
    /// Version of the type's field definitions when the connection was last saved.
    pub schema_version: u32,
    /// Values of the type's fields.
    pub properties: Object,
    /// Whether the type required a credential when the connection was last saved.
    pub needs_credential: bool,
    /// Metadata of the credential.
    pub credential: CredentialStatus,
    /// Who may use the connection.
    pub sharing: Sharing,
    /// Whether exports on it can run and, if not, why.
    pub availability: Availability,
    /// Whether an administrator suspended it.
    pub suspended: bool,
    /// Reason given by the administrator who suspended it.
    pub suspend_reason: String,
    /// Number of attached exports.
    pub attached_export_count: u64,
    /// Incremented with every attachment and release, without gaps, in commit order.
    pub attachment_revision: i64,
    /// Value of `attachment_revision` at the last attachment.
    pub last_attached_revision: i64,
    /// Labels by key.
    pub labels: Labels,
    /// Principal that created it.
    pub creator: String,
    /// Creation time.
    pub create_time: DateTime<Utc>,
    /// Principal that last changed it.
    pub updater: String,
    /// Time of the last change.
    pub update_time: DateTime<Utc>,
    /// Incremented with every change by a caller; basis of the etag.
    pub revision: i64,
    /// The last test of the current properties and credential.
    pub last_test: Option<LastTest>,
}

/// The result of a test of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTest {
    /// When it was tested.
    pub time: DateTime<Utc>,
    /// The checks, in the order of the steps of a connection.
    pub checks: Vec<Check>,
}

impl Connection {
    /// The etag of this revision.
    pub fn etag(&self) -> String {
        Etag { uid: self.uid.0, revision: self.revision }.encode(TokenKind::Etag)
    }

    /// Identifies the current set of attached exports.
    pub fn blocking_set_etag(&self) -> String {
        Etag { uid: self.uid.0, revision: self.attachment_revision }.encode(TokenKind::BlockingSet)
    }
}

/// The part of a connection that a contributor with access sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableConnection {
    /// Resource name.
    pub name: ConnectionName,
    /// Display name.
    pub display_name: String,
    /// Connection type.
    pub connection_type: ConnectionTypeId,
    /// Whether another connection that the caller may use has the same display name.
    pub display_name_ambiguous: bool,
}

/// Filter for listing connections; unset fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Has this type.
    pub connection_type: Option<ConnectionTypeId>,
    /// Is in this state.
    pub state: Option<ConnectionState>,
    /// The display name contains this text, ignoring case.
    pub search: Option<String>,
}

/// Refuses more members than a connection may have.
pub fn check_member_count(members: usize) -> Result<()> {
    if members > limits::MAX_MEMBERS {
        return Err(Error::invalid(
            "members",
            format!("must have at most {} members, those before the change included", limits::MAX_MEMBERS),
        ));
    }
    Ok(())
}
