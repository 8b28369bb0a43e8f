//! Connections: one configured link to one external service each.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::json::{Labels, Object};
use super::token::{Etag, TokenKind};
use super::{ConnectionName, ConnectionTypeId, ConnectionUid, Error, Result, Violations, limits};

/// Whether exports on a connection can run, and if not, why; computed at every read, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// They can.
    Active,
    /// An administrator suspended the connection.
    Suspended,
    /// The type needs a credential and none is stored.
    CredentialMissing,
    /// The stored credential expired.
    CredentialExpired,
    /// The catalog does not have the type any more.
    TypeUnknown,
}

/// A availability, as callers see and filter it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Exports run.
    Active,
    /// Stopped by an administrator.
    Suspended,
    /// Missing or expired credential, or unknown type.
    CredentialRequired,
}

impl Availability {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Active, Self::Suspended, Self::CredentialMissing, Self::CredentialExpired, Self::TypeUnknown];

    /// What callers see.
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

/// Who a connection may be shared with: `user:<principal>` or `group:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(String);

impl Member {
    /// Parses a member; what stands behind the first colon may hold more of them.
    pub fn parse(violations: &mut Violations, field: &str, text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').unwrap_or(("", ""));
        let known = matches!(kind, "user" | "group");
        if !known || name.trim().is_empty() || name.chars().any(char::is_control) {
            violations.add(field, "must be `user:<principal>` or `group:<name>`");
            return None;
        }
        if text.len() > limits::MAX_MEMBER_BYTES {
            violations.add(field, format!("must have at most {} bytes", limits::MAX_MEMBER_BYTES));
            return None;
        }
        Some(Self(text.to_owned()))
    }

    /// A member read back from the database.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who, besides administrators, may use a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Every contributor.
    pub all_contributors: bool,
    /// These.
    pub members: BTreeSet<Member>,
}

impl Sharing {
    /// Whether this grants anybody anything.
    pub fn is_nobody(&self) -> bool {
        !self.all_contributors && self.members.is_empty()
    }
}

/// What is known about a stored credential; never the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialStatus {
    /// The way to authenticate; `None`: nothing is stored.
    pub auth_method: Option<String>,
    /// Which values are set.
    pub set_fields: Vec<String>,
    /// Grows with every credential that is stored or erased.
    pub revision: i64,
    /// When it was stored.
    pub set_time: Option<DateTime<Utc>>,
    /// When it ends.
    pub expire_time: Option<DateTime<Utc>>,
}

/// A connection, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// Itself.
    pub uid: ConnectionUid,
    /// What people call it.
    pub display_name: String,
    /// What people say about it.
    pub description: String,
    /// Its type.
    pub connection_type: ConnectionTypeId,
    /// The version of the type's fields that it was saved under.
    pub schema_version: u32,
    /// The fields of the type.
    pub properties: Object,
    /// Whether its type needs a credential, as it stood when the connection was saved.
    pub needs_credential: bool,
    /// What is known about its credential.
    pub credential: CredentialStatus,
    /// Who may use it.
    pub sharing: Sharing,
    /// Whether exports on it can run.
    pub availability: Availability,
    /// Whether an administrator suspended it.
    pub suspended: bool,
    /// In whose words.
    pub suspend_reason: String,
    /// How many exports are attached.
    pub attached_export_count: u64,
    /// Counts attachments and releases, without a gap, in the order of their commits.
    pub attachment_revision: i64,
    /// The revision of the last attachment.
    pub last_attached_revision: i64,
    /// Labels.
    pub labels: Labels,
    /// Who created it.
    pub creator: String,
    /// When.
    pub create_time: DateTime<Utc>,
    /// Who last changed it.
    pub updater: String,
    /// When.
    pub update_time: DateTime<Utc>,
    /// Grows with every change by a caller.
    pub revision: i64,
}

impl Connection {
    /// Its state at this revision.
    pub fn etag(&self) -> String {
        Etag { uid: self.uid.0, revision: self.revision }.encode(TokenKind::Etag)
    }

    /// Names the set of exports attached at present.
    pub fn blocking_set_etag(&self) -> String {
        Etag { uid: self.uid.0, revision: self.attachment_revision }.encode(TokenKind::BlockingSet)
    }
}

/// What a contributor learns of a connection that it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableConnection {
    /// Its name.
    pub name: ConnectionName,
    /// What people call it.
    pub display_name: String,
    /// Its type.
    pub connection_type: ConnectionTypeId,
}

/// What a list of connections is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Of this type.
    pub connection_type: Option<ConnectionTypeId>,
    /// In this state.
    pub state: Option<ConnectionState>,
    /// With this in the display name, in any case.
    pub search: Option<String>,
}

/// What the members of a connection would be, refused when too many.
pub fn check_member_count(members: usize) -> Result<()> {
    if members > limits::MAX_MEMBERS {
        return Err(Error::invalid("members", format!("a connection has at most {} members", limits::MAX_MEMBERS)));
    }
    Ok(())
}
