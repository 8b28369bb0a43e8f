//! Verified callers and their roles.

use chrono::{DateTime, Utc};

use super::{Member, OrganizationId};

/// A role of a caller in its organization; `ADMIN` includes `CONTRIBUTOR`, which includes `VIEWER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Reads the catalog and exports.
    Viewer,
    /// Creates and manages exports on connections that are shared with it.
    Contributor,
    /// Manages and shares connections, detaches exports, reads the audit log.
    Admin,
    /// A service that carries out runs; does not include another role.
    Runner,
}

impl Role {
    /// The role's name in the API and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "VIEWER",
            Self::Contributor => "CONTRIBUTOR",
            Self::Admin => "ADMIN",
            Self::Runner => "RUNNER",
        }
    }

    /// Parses a role name in lower or upper case.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "viewer" | "VIEWER" => Some(Self::Viewer),
            "contributor" | "CONTRIBUTOR" => Some(Self::Contributor),
            "admin" | "ADMIN" => Some(Self::Admin),
            "runner" | "RUNNER" => Some(Self::Runner),
            _ => None,
        }
    }

    /// Whether a caller with this role satisfies a requirement of `needed`.
    pub fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Runner, needed) => needed == Self::Runner,
            (_, Self::Runner) => false,
            (role, needed) => role >= needed,
        }
    }
}

/// A verified caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Prefix of the issuer and subject of the token, so that equal subjects of two issuers are two principals.
    pub principal: String,
    /// The organization that the caller acts in.
    pub organization: OrganizationId,
    /// Roles, sorted and without duplicates; a caller without roles has no rights.
    pub roles: Vec<Role>,
    /// Groups from the token, sorted and without duplicates.
    pub groups: Vec<String>,
    /// Expiry of the token. Streams of the caller end at this time.
    pub expire_time: DateTime<Utc>,
}

impl Caller {
    /// Whether the caller has the role or one that includes it.
    pub fn has(&self, needed: Role) -> bool {
        self.roles.iter().any(|role| role.includes(needed))
    }

    /// The members that identify this caller in a share or as an owner: `user:<principal>` and `group:<name>` for each group.
    pub fn members(&self) -> Vec<Member> {
        let groups = self.groups.iter().map(|group| Member::group(group));
        std::iter::once(Member::user(&self.principal)).chain(groups).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_lower_roles() {
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
