//! Why a caller could not be authenticated.

use std::fmt;

use crate::model::{Error, Unavailable};

/// Why a caller could not be authenticated. The reason appears in the log and in the metric `auth.rejected{reason}`, never
/// in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthnError {
    /// There is no token, and no client certificate that is accepted instead.
    Missing,
    /// The token is longer than 16 KiB.
    TooLong,
    /// The token is not a JWT of three parts, or a part cannot be decoded.
    Malformed,
    /// The issuer is missing or not configured.
    Issuer,
    /// The algorithm is not permitted, or not for this key.
    Algorithm,
    /// The key id is missing, although the key set of the issuer has several keys.
    NoKeyId,
    /// The key id is not in the key set of the issuer.
    UnknownKey,
    /// The signature does not verify.
    Signature,
    /// The audience is missing or does not include this service.
    Audience,
    /// The token has expired, or has no expiry.
    Expired,
    /// The token is not valid yet, or was issued in the future.
    NotYetValid,
    /// The token is valid for more than 24 h.
    Lifetime,
    /// The subject is missing or cannot be a principal.
    Subject,
    /// The organization is missing or is not a valid id.
    Organization,
    /// The roles are not strings.
    Roles,
    /// The groups are not strings, too many or too long.
    Groups,
    /// The client certificate has no SPIFFE id.
    Certificate,
    /// The SPIFFE id is not in the table of clients.
    UnknownClient,
    /// The keys of the issuer are unavailable. This is the only reason that the caller does not cause.
    KeysUnavailable,
}

impl AuthnError {
    /// Returns the value of the metric label `reason`.
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
            Self::Certificate => "certificate",
            Self::UnknownClient => "unknown_client",
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
    /// Keeps the distinction whether a retry helps, and drops the reason.
    fn from(error: AuthnError) -> Self {
        if error == AuthnError::KeysUnavailable {
            return Self::Unavailable(Unavailable::IdentityKeys);
        }
        Self::Unauthenticated
    }
}
