//! From the claims of a token to an identity: every check that needs no key.
//!
//! All of them are made here and not by the token library, whose defaults leave most of them out and whose clock is
//! not ours. Registered claims are those of RFC 7519, section 4.1.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::error::AuthnError;
use crate::model::{Caller, OrganizationId, Role, SYSTEM_PREFIX};

/// How far the clocks of issuer and server may differ, in seconds.
pub const LEEWAY_SECONDS: i64 = 30;

/// The longest time from issue (or, without `iat`, from now) to expiry, in seconds: 24 h.
pub const MAX_LIFETIME_SECONDS: i64 = 24 * 60 * 60;

/// The longest principal, prefix included, in bytes.
pub const MAX_PRINCIPAL_BYTES: usize = 256;

/// The most groups of a caller; a token with more is refused.
pub const MAX_GROUPS: usize = 200;

/// The longest name of a group, in bytes.
pub const MAX_GROUP_BYTES: usize = 256;

/// The last second that is taken for a time: the end of the year 9999.
const MAX_TIME_SECONDS: f64 = 253_402_300_799.0;

/// What the operator says about an issuer.
///
/// A claim is named by its name, or by a dotted path through objects (`realm_access.roles`); a claim whose own name has
/// dots is found by that name first.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// What `iss` must be, exactly.
    pub issuer: String,
    /// What `aud` must contain one of.
    pub audiences: Vec<String>,
    /// What is put before `sub` to make the principal; no two issuers have the same.
    pub principal_prefix: String,
    /// The claim that holds the organization's id.
    pub organization_claim: String,
    /// The claim that holds the roles: one text or an array of texts.
    pub roles_claim: String,
    /// The claim that holds the groups, likewise; `None` = no groups.
    pub groups_claim: Option<String>,
    /// Which values of the roles claim stand for which role; `None` = the roles' own names, in lower or upper case.
    pub role_values: Option<BTreeMap<String, Role>>,
}

/// Checks the claims of a token whose signature and issuer were verified, and makes the caller of them.
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

/// Whether a token that expires then is still taken, leeway included.
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
    // An issue time in the future would make any lifetime look short.
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

/// A `NumericDate` in whole seconds, which may be written with a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, AuthnError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(AuthnError::Malformed)?;
    if !(0.0..=MAX_TIME_SECONDS).contains(&seconds) {
        return Err(AuthnError::Malformed);
    }
    // Exact: the range above fits, and the digits before the point are whole seconds.
    format!("{:.0}", seconds.floor()).parse().map(Some).map_err(|_| AuthnError::Malformed)
}

fn check_audience(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<(), AuthnError> {
    let audiences = claims.get("aud").and_then(texts).ok_or(AuthnError::Audience)?;
    let ours = audiences.iter().any(|audience| settings.audiences.iter().any(|own| own == audience));
    if ours { Ok(()) } else { Err(AuthnError::Audience) }
}

fn principal(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<String, AuthnError> {
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(AuthnError::Subject)?;
    let principal = format!("{}{subject}", settings.principal_prefix);
    let reserved = principal.starts_with(SYSTEM_PREFIX);
    if subject.trim().is_empty() || reserved || !is_name(&principal, MAX_PRINCIPAL_BYTES) {
        return Err(AuthnError::Subject);
    }
    Ok(principal)
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
    if groups.len() > MAX_GROUPS || !groups.iter().all(|group| is_name(group, MAX_GROUP_BYTES)) {
        return Err(AuthnError::Groups);
    }
    let groups: BTreeSet<String> = groups.into_iter().map(str::to_owned).collect();
    Ok(groups.into_iter().collect())
}

/// The role that a value stands for; any other value gives no right.
fn role(settings: &IssuerSettings, value: &str) -> Option<Role> {
    match &settings.role_values {
        Some(values) => values.get(value).copied(),
        None => Role::parse(value),
    }
}

/// The claim of that name, or at the end of that path.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (head, rest) = path.split_once('.')?;
    find(claims.get(head)?.as_object()?, rest)
}

/// One text, or an array of nothing but texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text]);
    }
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn is_name(text: &str, max_bytes: usize) -> bool {
    !text.is_empty() && text.len() <= max_bytes && !text.chars().any(char::is_control)
}
