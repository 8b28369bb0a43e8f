//! Ids and resource names: a type for each, parsed at the edge and trusted inside.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The tenant: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrganizationId(String);

/// The last segment of a connection's or export's name: `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`, or a lower-case UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(String);

/// The id of a connection type, such as `sftp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionTypeId(String);

/// A connection, whatever its name: never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionUid(pub Uuid);

/// An export, whatever its name: never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportUid(pub Uuid);

/// `organizations/{organization}/connections/{connection}`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionName {
    /// The tenant.
    pub organization: OrganizationId,
    /// The last segment.
    pub id: ResourceId,
}

/// `organizations/{organization}/exports/{export}`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExportName {
    /// The tenant.
    pub organization: OrganizationId,
    /// The last segment.
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

/// Whether a text is an identifier of the catalog, of a type, an auth method or a field: `[a-z]([a-z0-9_]{0,61}[a-z0-9])?`.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !text.ends_with('_')
}

impl OrganizationId {
    /// Parses an organization's id.
    pub fn parse(text: &str) -> Option<Self> {
        is_segment(text, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourceId {
    /// Parses an id that a caller chooses.
    pub fn parse_chosen(text: &str) -> Option<Self> {
        is_segment(text, |byte| byte.is_ascii_lowercase()).then(|| Self(text.to_owned()))
    }

    /// Parses an id that a caller names: a chosen one, or one that the server took.
    pub fn parse(text: &str) -> Option<Self> {
        let taken = || Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text).then(|| Self(text.to_owned()));
        Self::parse_chosen(text).or_else(taken)
    }

    /// The id that the server takes when the caller chooses none.
    pub fn from_uid(uid: Uuid) -> Self {
        Self(uid.to_string())
    }

    /// An id read back from the database, where only parsed ones are written.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ConnectionTypeId {
    /// Parses an id that a caller names; whether the type exists is the catalog's to say.
    pub fn parse(text: &str) -> Option<Self> {
        is_identifier(text).then(|| Self(text.to_owned()))
    }

    /// An id as the catalog or the database holds it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `connectionTypes/{type}`
    pub fn name(&self) -> String {
        format!("connectionTypes/{}", self.0)
    }
}

impl ConnectionUid {
    /// A new uid; UUIDv7, so that uids ascend with their creation.
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
    /// A new uid; UUIDv7, so that uids ascend with their creation.
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
