//! JSON values: properties, settings, labels.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// Number of numbers in a value.
pub fn count_numbers(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
        Value::Number(_) => 1,
        Value::Array(values) => values.iter().map(count_numbers).sum(),
        Value::Object(object) => object.values().map(count_numbers).sum(),
    }
}

/// Whether a string or key in a value contains a control character.
pub fn has_control(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(values) => values.iter().any(has_control),
        Value::Object(object) => {
            object.iter().any(|(key, value)| key.chars().any(char::is_control) || has_control(value))
        }
    }
}

/// Nesting depth of a value; a scalar has depth 0.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
    }
}
