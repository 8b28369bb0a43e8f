//! Who calls: tokens are verified here and turned into plain data.
//!
//! Whatever is wrong with a token, the caller hears one constant answer; the reason is for the log and the metric.

mod cache;
mod claims;
mod development;
mod jwk;
mod jwt;
mod key_source;
mod keyset;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::{DateTime, Utc};

use crate::model::{Error, Role, Unavailable};

pub use claims::{
    IssuerSettings, LEEWAY_SECONDS, MAX_GROUP_BYTES, MAX_GROUPS, MAX_LIFETIME_SECONDS, MAX_PRINCIPAL_BYTES,
};
pub use development::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentError, DevelopmentIdentity, Mint};
pub use jwk::MAX_KEYS;
pub use jwt::{Issuer, IssuersError, MAX_TOKEN_BYTES, Verifier, bearer_token};
pub use key_source::{FETCH_TIMEOUT, KeySetError, KeySource, MAX_KEY_SET_BYTES};
pub use keyset::{FETCH_INTERVAL, KeySet};

/// A caller, as a verified token describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// The issuer's prefix and the subject, at most [`MAX_PRINCIPAL_BYTES`].
    pub principal: String,
    /// The caller's one organization, a well-formed id.
    pub organization: String,
    /// What it may do there, sorted, each once; empty = nothing.
    pub roles: Vec<Role>,
    /// Its groups, sorted, each once; at most [`MAX_GROUPS`] of at most [`MAX_GROUP_BYTES`].
    pub groups: Vec<String>,
    /// When the token ends (its `exp`, without leeway).
    pub expire_time: DateTime<Utc>,
}

/// Why a caller is not believed. For the log and `auth.rejected{reason}` only, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// No token.
    Missing,
    /// Longer than [`MAX_TOKEN_BYTES`].
    TooLong,
    /// No JWT of three parts, or a part that is not what it must be.
    Malformed,
    /// An issuer that is not configured, or none.
    Issuer,
    /// An algorithm that is not permitted, or not for the key.
    Algorithm,
    /// No key id, where the issuer's set has several keys.
    NoKeyId,
    /// A key id that the issuer's set lacks.
    UnknownKey,
    /// The signature is not that key's.
    Signature,
    /// Meant for another service, or for none.
    Audience,
    /// Past its end, or without one.
    Expired,
    /// Before its start, or issued in the future.
    NotYetValid,
    /// Valid for longer than [`MAX_LIFETIME_SECONDS`].
    Lifetime,
    /// No subject, or one that cannot be a principal.
    Subject,
    /// No organization, or one that cannot be an organization's id.
    Organization,
    /// Roles that are not texts.
    Roles,
    /// Groups that are not texts, too many or too long.
    Groups,
    /// The issuer's keys cannot be had; the one reason that is not the caller's fault.
    KeysUnavailable,
}

impl Rejected {
    /// The value of the metric's label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Issuer => "issuer",
            Self::Algorithm => "algorithm",
            Self::NoKeyId => "no_key_id",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "lifetime",
            Self::Subject => "subject",
            Self::Organization => "organization",
            Self::Roles => "roles",
            Self::Groups => "groups",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for Rejected {}

impl From<Rejected> for Error {
    /// The caller learns whether to try again, and nothing else.
    fn from(rejected: Rejected) -> Self {
        if rejected == Rejected::KeysUnavailable {
            return Self::Unavailable(Unavailable::IdentityKeys);
        }
        Self::Unauthenticated
    }
}
