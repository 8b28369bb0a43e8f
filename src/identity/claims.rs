//! Validates the claims of a token and turns them into a caller.
//!
//! The token library does not validate them: by default it omits most checks, and it has a clock of its own. Registered
//! claims are those of RFC 7519, section 4.1.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::error::{AuthnError, Fault};
use super::shapes::{describe, names, objects, texts, words};
use super::times;
use crate::model::{Caller, ClaimPath, IssuerSettings, OrganizationId, Role, SYSTEM_PREFIX};

/// The longest principal in bytes, prefix included.
pub const MAX_PRINCIPAL_BYTES: usize = 256;

/// Maximum number of groups of a caller. A token with more is refused.
pub const MAX_GROUPS: usize = 200;

/// The longest name of a group in bytes.
pub const MAX_GROUP_BYTES: usize = 256;

/// Validates the claims of a token whose issuer and signature are verified. Returns its caller.
pub(super) fn caller(
    settings: &IssuerSettings,
    claims: &Map<String, Value>,
    now: DateTime<Utc>,
) -> Result<Caller, Fault> {
    let expire_time = times::check(claims, now)?;
    check_audience(settings, claims)?;
    check_required(settings, claims)?;
    let organization = organization(settings, claims)?;
    Ok(Caller {
        principal: principal(settings, claims)?,
        roles: roles(settings, claims, &organization)?,
        organization,
        groups: groups(settings, claims)?,
        expire_time,
    })
}

fn check_audience(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<(), Fault> {
    let path = &settings.audience_claim;
    let found = path.find(claims);
    if found.is_none() && path.as_str() == "aud" && claims.contains_key("client_id") {
        let detail = "the token has no `aud`; if `client_id` names its audience, as Amazon Cognito does, set \
                      `jwt_audience_claim`";
        return Err(Fault::new(AuthnError::Audience, detail));
    }
    let Some(audiences) = found.and_then(texts) else {
        return Err(wrong_shape(AuthnError::Audience, path, found, "a string or an array of strings"));
    };
    let accepted = audiences.iter().any(|audience| settings.audiences.iter().any(|own| own == audience));
    if accepted { Ok(()) } else { Err(AuthnError::Audience.into()) }
}

fn check_required(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<(), Fault> {
    for (path, required) in &settings.required_claims {
        let has_value = |found: &Value| match found {
            Value::Bool(_) | Value::Number(_) => {
                serde_json::from_str::<Value>(required).is_ok_and(|value| value == *found)
            }
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                words(path, found).is_some_and(|values| values.contains(&required.as_str()))
            }
        };
        let found = path.find(claims);
        if !found.is_some_and(has_value) {
            let detail = format!("claim `{}` is {}, without the required value", path.as_str(), describe(found));
            return Err(Fault::new(AuthnError::RequiredClaim, detail));
        }
    }
    Ok(())
}

fn principal(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<String, Fault> {
    let (path, found) = (&settings.principal_claim, settings.principal_claim.find(claims));
    let Some(subject) = found.and_then(Value::as_str) else {
        return Err(wrong_shape(AuthnError::Subject, path, found, "a string"));
    };
    principal_of(&settings.principal_prefix, subject).ok_or_else(|| {
        let detail = format!(
            "claim `{}` is a string that cannot be a principal: it is blank, has control characters, begins with \
             `{SYSTEM_PREFIX}`, or has more than {MAX_PRINCIPAL_BYTES} bytes with its prefix",
            path.as_str()
        );
        Fault::new(AuthnError::Subject, detail)
    })
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

/// The organization of a token: the only one that its claim names. With configured values, others are ignored.
fn organization(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<OrganizationId, Fault> {
    let (path, found) = (&settings.organization_claim, settings.organization_claim.find(claims));
    let Some(values) = found.and_then(names) else {
        let expected =
            "a string, an array of strings, or an object with objects as its values, or an array of such objects";
        return Err(wrong_shape(AuthnError::Organization, path, found, expected));
    };
    let fault = |problem: &str| {
        let detail = format!("claim `{}` is {} {problem}", path.as_str(), describe(found));
        Fault::new(AuthnError::Organization, detail)
    };
    if settings.organization_values.is_none() && values.len() > 1 {
        return Err(fault("and names several organizations; a token must be of one of them"));
    }
    let organizations: BTreeSet<_> = values.into_iter().filter_map(|value| organization_of(settings, value)).collect();
    if organizations.len() > 1 {
        return Err(fault("and has several values of `jwt_organization_values`; a token must be of one organization"));
    }
    organizations.into_iter().next().ok_or_else(|| match settings.organization_values {
        Some(_) => fault("without a value of `jwt_organization_values`"),
        None => fault("that is not the id of an organization; `jwt_organization_values` can map it"),
    })
}

/// Returns the organization of a value of the organization claim.
fn organization_of(settings: &IssuerSettings, value: &str) -> Option<OrganizationId> {
    match &settings.organization_values {
        Some(values) => values.get(value).cloned(),
        None => OrganizationId::parse(value),
    }
}

fn roles(
    settings: &IssuerSettings,
    claims: &Map<String, Value>,
    organization: &OrganizationId,
) -> Result<Vec<Role>, Fault> {
    let path = &settings.roles_claim;
    let found = path.find(claims);
    let Some(value) = found else {
        check_present(AuthnError::Roles, path, claims)?;
        return Ok(Vec::new());
    };
    let values: Vec<&str> = if let Some(grants) = objects(value) {
        // Zitadel sends `{"admin": {"<id of the organization>": "<its domain>"}}`.
        let granted = |grants: &Map<String, Value>| {
            let granting = grants.iter().flat_map(|(id, domain)| [Some(id.as_str()), domain.as_str()]).flatten();
            { granting }.any(|granting| organization_of(settings, granting).as_ref() == Some(organization))
        };
        grants.filter(|(_, grants)| granted(grants)).map(|(role, _)| role).collect()
    } else {
        let expected =
            "a string, an array of strings, or an object with objects as its values, or an array of such objects";
        words(path, value).ok_or_else(|| wrong_shape(AuthnError::Roles, path, found, expected))?
    };
    let roles: BTreeSet<Role> = values.into_iter().filter_map(|value| role(settings, value)).collect();
    Ok(roles.into_iter().collect())
}

fn groups(settings: &IssuerSettings, claims: &Map<String, Value>) -> Result<Vec<String>, Fault> {
    let Some(path) = &settings.groups_claim else { return Ok(Vec::new()) };
    let found = path.find(claims);
    let Some(value) = found else {
        check_present(AuthnError::Groups, path, claims)?;
        return Ok(Vec::new());
    };
    let expected = "a string or an array of strings";
    let groups = words(path, value).ok_or_else(|| wrong_shape(AuthnError::Groups, path, found, expected))?;
    if !are_groups(groups.iter().copied()) {
        let expected = format!("at most {MAX_GROUPS} names of 1 to {MAX_GROUP_BYTES} bytes");
        return Err(wrong_shape(AuthnError::Groups, path, found, &expected));
    }
    let groups: BTreeSet<String> = groups.into_iter().map(str::to_owned).collect();
    Ok(groups.into_iter().collect())
}

/// Refuses a token whose claim is elsewhere. Beyond 200 groups, Microsoft Entra names their source in `_claim_names` (`OpenID`
/// Connect Core, section 5.6.2) or sends `hasgroups` instead of them.
fn check_present(reason: AuthnError, path: &ClaimPath, claims: &Map<String, Value>) -> Result<(), Fault> {
    let name = path.top_level();
    let distributed = claims.get("_claim_names").and_then(|names| names.get(&name)).is_some();
    if distributed || (name == "groups" && claims.contains_key("hasgroups")) {
        let detail = format!(
            "claim `{}` is not in the token, because it has too many values (`_claim_names` or `hasgroups`): let the \
             issuer send fewer, such as only the groups that are assigned to the application",
            path.as_str()
        );
        return Err(Fault::new(reason, detail));
    }
    Ok(())
}

/// Returns the role of a value of the roles claim. Unknown values are ignored.
fn role(settings: &IssuerSettings, value: &str) -> Option<Role> {
    match &settings.role_values {
        Some(values) => values.get(value).copied(),
        None => Role::parse(value),
    }
}

fn wrong_shape(reason: AuthnError, path: &ClaimPath, found: Option<&Value>, expected: &str) -> Fault {
    Fault::new(reason, format!("claim `{}` is {}, not {expected}", path.as_str(), describe(found)))
}

fn is_name(text: &str, max_bytes: usize) -> bool {
    !text.trim().is_empty() && text.len() <= max_bytes && !text.chars().any(char::is_control)
}
