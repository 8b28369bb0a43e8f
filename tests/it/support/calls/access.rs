//! The kinds of callers, and the classes of access: the expected outcome of a call for each kind of caller.
//!
//! They are stated by hand and not derived from `required_role` of the protos, because `authz_matrix.rs` checks those
//! roles with them.

use outflow::model::Role;

/// Describes a kind of caller.
pub struct Caller {
    /// The words that describe it when a test fails.
    pub description: &'static str,
    /// The organization that its token names.
    pub organization: &'static str,
    /// The subject that its token names. Connections of [`Names`](super::Names) are shared with `bea`, not with `ann`.
    pub subject: &'static str,
    /// The roles that its token grants.
    pub roles: &'static [Role],
}

/// Lists the callers that have a valid token. Every [`Access`] has its outcomes in this order.
pub const CALLERS: &[Caller] = &[
    Caller { description: "a viewer", organization: "acme", subject: "vera", roles: &[Role::Viewer] },
    Caller {
        description: "a contributor without a share",
        organization: "acme",
        subject: "ann",
        roles: &[Role::Contributor],
    },
    Caller {
        description: "a contributor with a share",
        organization: "acme",
        subject: "bea",
        roles: &[Role::Contributor],
    },
    Caller { description: "an administrator", organization: "acme", subject: "root", roles: &[Role::Admin] },
    Caller {
        description: "an administrator of another organization",
        organization: "zeta",
        subject: "root",
        roles: &[Role::Admin],
    },
    Caller { description: "a runner", organization: "acme", subject: "runner", roles: &[Role::Runner] },
    Caller { description: "a caller without a role", organization: "acme", subject: "nemo", roles: &[] },
];

/// Lists the outcome that a test expects for each of [`CALLERS`]: [`OK`], or the reason of the refusal.
pub type Access = &'static [&'static str];

/// The outcome of a call that succeeds.
pub const OK: &str = "OK";
/// The reason of a refusal when the caller lacks the role of the method.
const ROLE: &str = "ROLE_REQUIRED";
/// The reason of a refusal when the caller has the role of the method, but no right on the resource.
const RIGHT: &str = "NOT_PERMITTED";

/// Permits every caller with a valid token, also one without a role.
pub const ANYBODY: Access = &[OK, OK, OK, OK, OK, OK, OK];
/// Permits every role but the runner's, of any organization: the request names no resource of an organization.
pub const CATALOG: Access = &[OK, OK, OK, OK, OK, ROLE, ROLE];
/// Permits the roles of the organization but the runner's.
pub const VIEWERS: Access = &[OK, OK, OK, OK, RIGHT, ROLE, ROLE];
/// Permits contributors of the organization, with or without a share of a connection, and administrators.
pub const CONTRIBUTORS: Access = &[ROLE, OK, OK, OK, RIGHT, ROLE, ROLE];
/// Permits contributors who can use the connection that the request is about, and administrators.
pub const USERS: Access = &[ROLE, RIGHT, OK, OK, RIGHT, ROLE, ROLE];
/// Permits administrators of the organization.
pub const ADMINS: Access = &[ROLE, ROLE, ROLE, OK, RIGHT, ROLE, ROLE];
