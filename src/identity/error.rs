//! Why a caller could not be authenticated.

use std::fmt;

use crate::model::{Error, Unavailable};

/// Why a caller could not be authenticated. It is for the log and the metric `auth.rejected{reason}`, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthnError {
    /// No token.
    Missing,
    /// A token of more than 16 KiB.
    TooLong,
    /// Not a JWT of three parts, or a part that cannot be decoded.
    Malformed,
    /// An issuer that is not configured, or none.
    Issuer,
    /// An algorithm that is not permitted, or not for this key.
    Algorithm,
    /// No key id, although the key set of the issuer has several keys.
    NoKeyId,
    /// A key id that is not in the key set of the issuer.
    UnknownKey,
    /// The signature does not verify.
    Signature,
    /// An audience that does not include this service, or none.
    Audience,
    /// Expired, or without an expiry.
    Expired,
    /// Not valid yet, or issued in the future.
    NotYetValid,
    /// A token that is valid for more than 24 h.
    Lifetime,
    /// No subject, or one that cannot be a principal.
    Subject,
    /// No organization, or one that cannot be an organization's id.
    Organization,
    /// Roles that are not strings.
    Roles,
    /// Groups that are not strings, too many or too long.
    Groups,
    /// The keys of the issuer are not available. This is the only reason that is not the fault of the caller.
    KeysUnavailable,
}

impl AuthnError {
    /// The value of the label `reason`.
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

impl fmt::Display for AuthnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for AuthnError {}

impl From<AuthnError> for Error {
    /// Tells the caller whether a retry helps, and nothing else.
    fn from(rejected: AuthnError) -> Self {
        if rejected == AuthnError::KeysUnavailable {
            return Self::Unavailable(Unavailable::IdentityKeys);
        }
        Self::Unauthenticated
    }
}
