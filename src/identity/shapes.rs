//! The shapes in which issuers send values: a string, a list, or an object with the values as its keys.
//!
//! A shape that could mean something else is refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::model::ClaimPath;

/// Reads a string, or an array that contains only strings.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text]);
    }
    value.as_array()?.iter().map(Value::as_str).collect()
}

/// Reads [`texts`] of a claim whose string has several values between spaces, if the claim is one of scopes. No other string
/// is split: an issuer may let people name their groups, and one of them could be named `not admin`.
pub(super) fn words<'a>(path: &ClaimPath, value: &'a Value) -> Option<Vec<&'a str>> {
    match value.as_str() {
        Some(text) if path.is_scope() => Some(text.split_whitespace().collect()),
        _ => texts(value),
    }
}

/// Reads a string, an array of strings, or the keys of an object whose values are objects: Keycloak sends
/// `{"acme": {"id": "…"}}`. The result has no duplicates.
pub(super) fn names(value: &Value) -> Option<BTreeSet<&str>> {
    match objects(value) {
        Some(objects) => Some(objects.map(|(name, _)| name).collect()),
        None => texts(value).map(|texts| texts.into_iter().collect()),
    }
}

/// Reads an object whose values are objects, or an array of such objects, as the documentation of Zitadel shows roles.
pub(super) fn objects(value: &Value) -> Option<impl Iterator<Item = (&str, &Map<String, Value>)>> {
    let parts: Vec<&Map<String, Value>> = match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(Value::as_object).collect::<Option<_>>()?,
        Value::Object(object) => vec![object],
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    let all = parts.iter().all(|part| part.values().all(Value::is_object));
    let pairs = parts.into_iter().flatten();
    all.then(|| pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_object()?))))
}

/// Describes the JSON type of a claim, without any of its content.
pub(super) fn describe(value: Option<&Value>) -> String {
    let elements = |kind: &str, count: usize, of: &mut dyn Iterator<Item = &Value>| {
        let kinds: BTreeSet<&str> = of.map(kind_of).collect();
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(" and ");
        if kinds.is_empty() { format!("an empty {kind}") } else { format!("an {kind} of {count} ({kinds})") }
    };
    match value {
        None => "missing".to_owned(),
        Some(Value::Array(values)) => elements("array", values.len(), &mut values.iter()),
        Some(Value::Object(object)) => elements("object", object.len(), &mut object.values()),
        Some(value) => format!("a {}", kind_of(value)),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
