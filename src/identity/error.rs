//! Why a caller could not be authenticated.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::model::{Error, Unavailable, excerpt};

/// Maximum number of characters of an issuer or an audience in a log line.
const MAX_SHOWN_CHARS: usize = 200;

/// Why a caller could not be authenticated. The reason appears in the log and in the metric `auth.rejected{reason}`, never
/// in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthnError {
    /// There is no token, and no client certificate that is accepted instead.
    Missing,
    /// The token is longer than 16 KiB.
    TooLong,
    /// The token is not a JWT of three parts, or a part cannot be decoded.
    Malformed,
    /// The issuer is missing or not configured.
    Issuer,
    /// The header states that the token is of another type than an access token.
    TokenType,
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
    /// A required claim is missing or has another value.
    RequiredClaim,
    /// The subject is missing or cannot be a principal.
    Subject,
    /// The organization is missing, ambiguous or not a valid id.
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
            Self::TokenType => "token_type",
            Self::Algorithm => "algorithm",
            Self::NoKeyId => "no_key_id",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "lifetime",
            Self::RequiredClaim => "required_claim",
            Self::Subject => "subject",
            Self::Organization => "organization",
            Self::Roles => "roles",
            Self::Groups => "groups",
            Self::Certificate => "certificate",
            Self::UnknownClient => "unknown_client",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    /// Returns what is wrong, for an operator.
    pub fn description(self) -> &'static str {
        match self {
            Self::Missing => "there is no token",
            Self::TooLong => "the token is longer than 16 KiB",
            Self::Malformed => "the token is not a signed JWT",
            Self::Issuer => "the issuer is not configured",
            Self::TokenType => "the token is not an access token",
            Self::Algorithm => "the key does not permit the algorithm of the token",
            Self::NoKeyId => "the token names no key, and the key set of the issuer has several",
            Self::UnknownKey => "the key set of the issuer does not have the key of the token",
            Self::Signature => "the signature does not verify, so the claims may be forged",
            Self::Audience => "the token is meant for another audience",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Lifetime => "the token is valid for more than 24 hours",
            Self::RequiredClaim => "a required claim is missing or has another value",
            Self::Subject => "the subject cannot be a principal",
            Self::Organization => "the organization is not one valid id",
            Self::Roles => "the roles are not strings",
            Self::Groups => "the groups are not at most 200 names of at most 256 bytes",
            Self::Certificate => "the client certificate does not have exactly one SPIFFE id",
            Self::UnknownClient => "the SPIFFE id is not in the table of clients",
            Self::KeysUnavailable => "the key set of the issuer is not loaded, or too old",
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

/// A check of a token that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: AuthnError,
    /// What was seen. It contains no value of a claim.
    pub(super) detail: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(reason: AuthnError, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<AuthnError> for Fault {
    fn from(reason: AuthnError) -> Self {
        Self::new(reason, reason.description())
    }
}

/// A refused caller, for the log of the operator. It contains `iss` and `aud` of the token, and no other claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The failed check.
    pub reason: AuthnError,
    /// What was seen.
    pub detail: Cow<'static, str>,
    /// Issuer and audience, if the claims could be decoded.
    pub compared: Option<Box<Compared>>,
}

/// What was expected and seen, each escaped and of at most 200 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The configured issuer; several if the token has another one.
    pub expected_issuer: String,
    /// `iss` as JSON.
    pub seen_issuer: String,
    /// The accepted audiences; `None`: the issuer is not known.
    pub expected_audience: Option<String>,
    /// The audience as JSON.
    pub seen_audience: String,
}

impl From<Fault> for Rejection {
    fn from(Fault { reason, detail }: Fault) -> Self {
        Self { reason, detail, compared: None }
    }
}

impl From<AuthnError> for Rejection {
    fn from(reason: AuthnError) -> Self {
        Fault::from(reason).into()
    }
}

/// A claim as JSON, escaped and truncated.
pub(super) fn shown(claim: Option<&Value>) -> String {
    claim.map_or_else(|| "absent".to_owned(), |claim| excerpt(&claim.to_string(), MAX_SHOWN_CHARS))
}

/// Configured values, truncated.
pub(super) fn shown_list<'a>(values: impl Iterator<Item = &'a str>) -> String {
    excerpt(&values.collect::<Vec<_>>().join(", "), MAX_SHOWN_CHARS)
}
