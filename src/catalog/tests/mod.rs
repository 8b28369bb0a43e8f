//! Tests of the catalog, and their helpers.

mod addresses;
mod checks;
mod embedded;
mod fuzzed;
mod refusals;

use serde_json::{Map, Value};

use super::ConnectionType;
use super::file::read_type;
use crate::model::Violations;

/// A type with a field of every value type.
const SAMPLE: &str = include_str!("sample.toml");

fn sample() -> ConnectionType {
    read_type(SAMPLE).unwrap().1
}

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn fields_of(violations: &Violations) -> Vec<&str> {
    violations.iter().map(|violation| violation.field.as_str()).collect()
}
