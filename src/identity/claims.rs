//! Validates the claims of a token and turns them into a caller.
//!
//! The token library does not validate them: by default it omits most checks, and it has a clock of its own. Registered
//! claims are those of RFC 7519, section 4.1.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::error::AuthnError;
use crate::model::{Caller, OrganizationId, Role, SYSTEM_PREFIX};

/// The permitted difference between the clocks of issuer and server, in seconds.
pub const LEEWAY_SECONDS: i64 = 30;

/// The longest lifetime of a token in seconds: from `iat`, or from now without `iat`, to `exp`.
pub const MAX_LIFETIME_SECONDS: i64 = 24 * 60 * 60;

/// The longest principal in bytes, prefix included.
pub const MAX_PRINCIPAL_BYTES: usize = 256;

/// Maximum number of groups of a caller. A token with more is refused.
pub const MAX_GROUPS: usize = 200;

/// The longest name of a group in bytes.
pub const MAX_GROUP_BYTES: usize = 256;

/// The latest accepted time, in seconds since 1970: the end of the year 9999.
const MAX_TIME_SECONDS: f64 = 253_402_300_799.0;

/// The configuration of an issuer.
///
/// A claim is named by its name or by a dotted path through objects (`realm_access.roles`). A claim whose name contains the
/// dots is preferred over the path.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The exact value of `iss`.
    pub issuer: String,
    /// The accepted audiences. `aud` must contain at least one of them.
    pub audiences: Vec<String>,
    /// The prefix of principals: a principal is this prefix and `sub`. It must be unique among the issuers.
    pub principal_prefix: String,
    /// The claim with the id of the organization.
    pub organization_claim: String,
    /// The claim with the roles, a string or an array of strings.
    pub roles_claim: String,
    /// The claim with the groups, a string or an array of strings. `None`: callers have no groups.
    pub groups_claim: Option<String>,
    /// The role of each value of the roles claim. `None`: the names of the roles, in lower or upper case.
    pub role_values: Option<BTreeMap<String, Role>>,
}

/// Validates the claims of a token whose issuer and signature are verified. Returns its caller.
pub(super) fn caller(
    settings: &IssuerSettings,
    claims: &Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<Caller, AuthnError> {
    let expire_time = check_times(claims, now)?;
    check_audience(settings, claims)?;
    Ok(Caller {
        principal: principal(settings, claims)?,
        organization: organization(settings, claims)?,
        roles: roles(settings, claims)?,
        groups: groups(settings, claims)?,
        expire_time,
    })
}

/// Whether a token with this expiry is still valid, leeway included.
pub(super) fn is_live(expire_time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now.timestamp() < expire_time.timestamp() + LEEWAY_SECONDS
}

fn check_times(claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<DateTime<Utc>, AuthnError> {
    let seconds = now.timestamp();
    let expiry = time(claims, "exp")?.ok_or(AuthnError::Expired)?;
    let expire_time = DateTime::from_timestamp(expiry, 0).ok_or(AuthnError::Malformed)?;
    if !is_live(expire_time, now) {
        return Err(AuthnError::Expired);
    }
    let issued = time(claims, "iat")?;
    // With an issue time in the future, any lifetime would look short.
    for start in [time(claims, "nbf")?, issued].into_iter().flatten() {
        if start > seconds + LEEWAY_SECONDS {
            return Err(AuthnError::NotYetValid);
        }
    }
    if expiry - issued.unwrap_or(seconds) > MAX_LIFETIME_SECONDS {
        return Err(AuthnError::Lifetime);
    }
    Ok(expire_time)
}

/// Reads a `NumericDate` in seconds. A fraction is dropped.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, AuthnError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(AuthnError::Malformed)?;
    if !(0.0..=MAX_TIME_SECONDS).contains(&seconds) {
        return Err(AuthnError::Malformed);
    }
    // Exact: the value is in range, and `floor` leaves an integer.
    format!("{:.0}", seconds.floor()).parse().map(Some).map_err(|_| AuthnError::Malformed)
}

fn check_audience(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<(), AuthnError> {
    let audiences = claims.get("aud").and_then(texts).ok_or(AuthnError::Audience)?;
    let accepted = audiences.iter().any(|audience| settings.audiences.iter().any(|own| own == audience));
    if accepted { Ok(()) } else { Err(AuthnError::Audience) }
}

fn principal(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<String, AuthnError> {
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(AuthnError::Subject)?;
    principal_of(&settings.principal_prefix, subject).ok_or(AuthnError::Subject)
}

/// The principal of a subject; `None` if it cannot be one.
pub(super) fn principal_of(prefix: &str, subject: &str) -> Option<String> {
    let principal = format!("{prefix}{subject}");
    let reserved = principal.starts_with(SYSTEM_PREFIX);
    (!subject.trim().is_empty() && !reserved && is_name(&principal, MAX_PRINCIPAL_BYTES)).then_some(principal)
}

/// Whether a principal looks like one of another issuer, whose prefix is longer.
pub(super) fn is_foreign<'a>(principal: &str, prefix: &str, others: impl IntoIterator<Item = &'a str>) -> bool {
    others.into_iter().any(|other| other.len() > prefix.len() && principal.starts_with(other))
}

/// Whether the groups of a caller are names, and not too many.
pub(super) fn are_groups<'a>(groups: impl ExactSizeIterator<Item = &'a str>) -> bool {
    groups.len() <= MAX_GROUPS && { groups }.all(|group| is_name(group, MAX_GROUP_BYTES))
}

fn organization(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<OrganizationId, AuthnError> {
    let organization = find(claims, &settings.organization_claim).and_then(Value::as_str);
    organization.and_then(OrganizationId::parse).ok_or(AuthnError::Organization)
}

fn roles(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<Vec<Role>, AuthnError> {
    let Some(value) = find(claims, &settings.roles_claim) else { return Ok(Vec::new()) };
    let values = texts(value).ok_or(AuthnError::Roles)?;
    let roles: BTreeSet<Role> = values.into_iter().filter_map(|value| role(settings, value)).collect();
    Ok(roles.into_iter().collect())
}

fn groups(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<Vec<String>, AuthnError> {
    let value = settings.groups_claim.as_ref().and_then(|claim| find(claims, claim));
    let Some(value) = value else { return Ok(Vec::new()) };
    let groups = texts(value).ok_or(AuthnError::Groups)?;
    if !are_groups(groups.iter().copied()) {
        return Err(AuthnError::Groups);
    }
    let groups: BTreeSet<String> = groups.into_iter().map(str::to_owned).collect();
    Ok(groups.into_iter().collect())
}

/// Returns the role of a value of the roles claim. Unknown values are ignored.
fn role(settings: &IssuerSettings, value: &str) -> Option<Role> {
    match &settings.role_values {
        Some(values) => values.get(value).copied(),
        None => Role::parse(value),
    }
}

/// Finds the claim with this name, or at this path.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (head, rest) = path.split_once('.')?;
    find(claims.get(head)?.as_object()?, rest)
}

/// Reads a string, or an array that contains only strings.
fn texts(value: &Value) -> Option<Vec<&str>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text]);
    }
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn is_name(text: &str, max_bytes: usize) -> bool {
    !text.trim().is_empty() && text.len() <= max_bytes && !text.chars().any(char::is_control)
}
