//! Ids and resource names: one type each, parsed at the edge and trusted afterwards.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Id of an organization (tenant): `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationId(Arc<str>);

/// Last segment of a resource name: `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`, or a UUID in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(String);

/// Id of a connection type, such as `sftp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionTypeId(String);

/// Unique id of a connection, independent of its name and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionUid(pub Uuid);

/// Unique id of an export, independent of its name and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportUid(pub Uuid);

/// `organizations/{organization}/connections/{connection}`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionName {
    /// The organization that the connection belongs to.
    pub organization: OrganizationId,
    /// The id of the connection.
    pub id: ResourceId,
}

/// `organizations/{organization}/exports/{export}`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExportName {
    /// The organization that the export belongs to.
    pub organization: OrganizationId,
    /// The id of the export.
    pub id: ResourceId,
}

fn is_segment(text: &str, first: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    matches!(bytes, [head, ..] if first(*head))
        && bytes.len() <= 63
        && bytes.iter().all(inner)
        && bytes.last() != Some(&b'-')
}

/// Whether a text is an identifier of the catalog (type, authentication method, field):
/// `[a-z]([a-z0-9_]{0,61}[a-z0-9])?`.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !text.ends_with('_')
}

impl OrganizationId {
    /// Parses the id of an organization.
    pub fn parse(text: &str) -> Option<Self> {
        is_segment(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourceId {
    /// Parses an id chosen by a caller for a new resource.
    pub fn parse_chosen(text: &str) -> Option<Self> {
        is_segment(text, |byte| byte.is_ascii_lowercase()).then(|| Self(text.to_owned()))
    }

    /// Parses an id in a resource name: one chosen by a caller or one assigned by the server.
    pub fn parse(text: &str) -> Option<Self> {
        let taken = || Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text).then(|| Self(text.to_owned()));
        Self::parse_chosen(text).or_else(taken)
    }

    /// The id that the server assigns when the caller chooses none.
    pub fn from_uid(uid: Uuid) -> Self {
        Self(uid.to_string())
    }

    /// An id read from the database; not validated again.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ConnectionTypeId {
    /// Parses an id given by a caller; the catalog decides whether the type exists.
    pub fn parse(text: &str) -> Option<Self> {
        is_identifier(text).then(|| Self(text.to_owned()))
    }

    /// An id from the catalog or the database.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Resource name: `connectionTypes/{type}`.
    pub fn name(&self) -> String {
        ["connectionTypes/", &self.0].concat()
    }
}

impl ConnectionUid {
    /// A new UUIDv7: uids ascend in order of creation.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for ConnectionUid {
    fn default() -> Self {
        Self::new()
    }
}

impl ExportUid {
    /// A new UUIDv7: uids ascend in order of creation.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for ExportUid {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "organizations/{}/connections/{}", self.organization, self.id)
    }
}

impl fmt::Display for ExportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "organizations/{}/exports/{}", self.organization, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_their_pattern() {
        for good in ["a", "a1", "a-b", &"a".repeat(63)] {
            assert!(ResourceId::parse_chosen(good).is_some(), "{good}");
        }
        for bad in ["", "-", "a-", "1a", "A", "a_b", "a/b", "ä", &"a".repeat(64)] {
            assert!(ResourceId::parse_chosen(bad).is_none(), "{bad}");
        }
        assert!(OrganizationId::parse("7seas").is_some());
        assert!(ResourceId::parse("01931f6e-7c4b-7000-8000-000000000000").is_some());
        assert!(ResourceId::parse("01931F6E-7C4B-7000-8000-000000000000").is_none());
    }
}
