//! Callers: who calls, and with which roles.

use chrono::{DateTime, Utc};

use super::OrganizationId;

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

/// A verified caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The prefix of the issuer and the subject: two issuers' `ann` are two people.
    pub principal: String,
    /// The one organization that the caller acts in.
    pub organization: OrganizationId,
    /// Its roles, sorted, each once; none: no rights.
    pub roles: Vec<Role>,
    /// The groups of its token, sorted, each once.
    pub groups: Vec<String>,
    /// When its token expires. Streams end then.
    pub expire_time: DateTime<Utc>,
}

impl Caller {
    /// Whether the caller has a role, or one that includes it.
    pub fn has(&self, needed: Role) -> bool {
        self.roles.iter().any(|role| role.includes(needed))
    }

    /// The members that stand for this caller in a share: itself and its groups.
    pub fn members(&self) -> Vec<String> {
        let groups = self.groups.iter().map(|group| format!("group:{group}"));
        std::iter::once(format!("user:{}", self.principal)).chain(groups).collect()
    }
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
