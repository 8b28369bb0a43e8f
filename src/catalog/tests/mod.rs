//! The tests of the catalog, and what they share.
//!
//! In files of their own, so that the room's code stays short to read.

mod addresses;
mod checks;
mod embedded;
mod refusals;

use serde_json::{Map, Value};

use super::ConnectionType;
use super::file::read_type;
use crate::model::Violations;

/// One field of every kind.
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
