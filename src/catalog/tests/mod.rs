//! Tests of the catalog, and their helpers.

mod addresses;
mod checks;
mod embedded;
mod endpoints;
mod field_cases;
mod fields;
mod fuzzed;
mod key_material;
mod keys;
mod refusals;
mod spellings;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::ConnectionType;
use super::file::read_type;
use crate::model::{CredentialSecret, Secret, Violations};

/// A type with a field of every value type.
const SAMPLE: &str = include_str!("sample.toml");

fn sample() -> ConnectionType {
    read_type(SAMPLE).unwrap().1
}

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// The result of a check of fields: their normal form, or the violations if there are any.
fn checked((fields, violations): (Map<String, Value>, Violations)) -> Result<Map<String, Value>, Violations> {
    violations.into_checked(fields)
}

fn fields_of(violations: &Violations) -> Vec<&str> {
    violations.iter().map(|violation| violation.field.as_str()).collect()
}

/// The time of all checks of credentials.
fn now() -> DateTime<Utc> {
    "2026-11-24T06:00:00Z".parse().unwrap()
}

/// Checks a credential for a connection with these properties, and returns its values in their normal form.
fn check_credential(
    connection_type: &ConnectionType,
    auth_method: &str,
    values: &[(&str, &str)],
    properties: &Map<String, Value>,
) -> Result<Vec<(String, String)>, Violations> {
    let field = |(key, value): &(&str, &str)| ((*key).to_owned(), Secret::new((*value).to_owned()));
    let secret = CredentialSecret { auth_method: auth_method.to_owned(), fields: values.iter().map(field).collect() };
    let checked = connection_type.check_credential(&secret, "credential", (properties, Some("properties")), now())?;
    Ok(checked.fields.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())).collect())
}
