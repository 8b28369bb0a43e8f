//! Who calls, with which roles, until when.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, OrganizationId, Result};

/// What a caller may do in its organization; `ADMIN` includes `CONTRIBUTOR`, which includes `VIEWER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sees the catalog, exports and runs.
    Viewer,
    /// Makes and manages exports on connections that are shared.
    Contributor,
    /// Manages connections, shares them, detaches exports, reads the audit log.
    Admin,
    /// A service that carries out runs; includes nothing else.
    Runner,
}

impl Role {
    /// The role's name on the wire and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "VIEWER",
            Self::Contributor => "CONTRIBUTOR",
            Self::Admin => "ADMIN",
            Self::Runner => "RUNNER",
        }
    }

    /// The role of this name, in lower or upper case.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "viewer" | "VIEWER" => Some(Self::Viewer),
            "contributor" | "CONTRIBUTOR" => Some(Self::Contributor),
            "admin" | "ADMIN" => Some(Self::Admin),
            "runner" | "RUNNER" => Some(Self::Runner),
            _ => None,
        }
    }

    /// Whether a caller with this role has what `needed` asks for.
    pub fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Runner, needed) => needed == Self::Runner,
            (_, Self::Runner) => false,
            (role, needed) => role >= needed,
        }
    }
}

/// A verified identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The prefix of the issuer and the subject: two issuers' `ann` are two people.
    pub principal: String,
    /// The one organization that the caller acts in.
    pub organization: OrganizationId,
    /// Any number of roles.
    pub roles: Vec<Role>,
    /// Those of the token.
    pub groups: Vec<String>,
}

impl Caller {
    /// Whether the caller has a role, or one that includes it.
    pub fn has(&self, needed: Role) -> bool {
        self.roles.iter().any(|role| role.includes(needed))
    }

    /// Refuses a caller without the role.
    pub fn require(&self, needed: Role) -> Result<()> {
        if self.has(needed) { Ok(()) } else { Err(Error::RoleRequired(needed)) }
    }

    /// The members that a share may name for this caller: itself and its groups.
    pub fn members(&self) -> Vec<String> {
        let groups = self.groups.iter().map(|group| format!("group:{group}"));
        std::iter::once(format!("user:{}", self.principal)).chain(groups).collect()
    }
}

/// One call: its caller, and what goes with it to the log and to the transaction.
#[derive(Clone)]
pub struct Call {
    /// Who.
    pub caller: Caller,
    /// The method, such as `outflow.v1.ConnectionService/DeleteConnection`.
    pub method: &'static str,
    /// `x-request-id`.
    pub call_id: String,
    /// The W3C trace that the call is part of.
    pub trace_id: Option<String>,
    /// When the caller stops waiting; nothing new is begun after it.
    pub deadline: Instant,
    /// When the caller's identity ends; streams end with it.
    pub identity_expires: DateTime<Utc>,
    /// The place among the calls in flight. It is given back when the last copy goes: a transaction keeps one, so that
    /// a caller who leaves does not make room for more work than there is.
    pub permit: Option<Arc<dyn Any + Send + Sync>>,
}

/// What makes a change safe to repeat, and a rehearsal of it possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutation {
    /// The caller's id of the request, and a keyed digest of what it asks for.
    pub request: Option<(Uuid, [u8; 32])>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_each_other_as_the_domain_says() {
        use Role::{Admin, Contributor, Runner, Viewer};
        let table = [
            (Admin, [true, true, true, false]),
            (Contributor, [true, true, false, false]),
            (Viewer, [true, false, false, false]),
            (Runner, [false, false, false, true]),
        ];
        for (role, expected) in table {
            assert_eq!([Viewer, Contributor, Admin, Runner].map(|needed| role.includes(needed)), expected, "{role:?}");
        }
    }
}
