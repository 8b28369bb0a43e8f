//! Plain data and pure rules: no I/O, no wire types, no database types.
//!
//! Everything else may read this module; it reads nothing but itself.

mod error;

pub use error::{
    Abort, Blocker, Error, Exhausted, FieldViolation, Invalid, Kind, Precondition, Result, Unavailable, Violations,
};

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
}
