//! Users and groups in shares of connections and as owners of exports.

use super::{Violations, limits};

/// A user or group that a connection is shared with, or that owns an export: `user:<principal>` or `group:<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(String);

impl Member {
    /// Parses a member, without white space around its parts. The first colon separates kind and name; the name may contain
    /// colons.
    pub fn parse(violations: &mut Violations, field: &str, text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').unwrap_or(("", ""));
        let (kind, name) = (kind.trim(), name.trim());
        let known = matches!(kind, "user" | "group");
        if !known || name.is_empty() || name.chars().any(char::is_control) {
            violations.add(field, "must be `user:<principal>` or `group:<name>`");
            return None;
        }
        if name.len() > limits::MAX_MEMBER_NAME_BYTES {
            let limit = limits::MAX_MEMBER_NAME_BYTES;
            violations.add(field, format!("must have at most {limit} bytes after `user:` or `group:`"));
            return None;
        }
        Some(Self(format!("{kind}:{name}")))
    }

    /// The user with this principal.
    pub fn user(principal: &str) -> Self {
        Self(format!("user:{principal}"))
    }

    /// The group with this name.
    pub fn group(name: &str) -> Self {
        Self(format!("group:{name}"))
    }

    /// A member read from the database; not validated again.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The member as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
