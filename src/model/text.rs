//! What every text from a caller must be: no control characters, trimmed blank is empty, not too long.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Violations, limits};

/// A JSON object: properties, settings.
pub type Object = Map<String, Value>;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// Checks a text of at most `max_chars`; a blank one becomes empty.
///
/// NUL above all is refused: PostgreSQL cannot hold it.
pub fn check(violations: &mut Violations, field: &str, text: String, max_chars: usize) -> String {
    if text.chars().count() > max_chars {
        violations.add(field, format!("must have at most {max_chars} characters"));
    }
    if text.chars().any(char::is_control) {
        violations.add(field, "must not contain control characters");
    }
    if text.trim().is_empty() { String::new() } else { text }
}

/// The same for a text that must not be empty.
pub fn check_required(violations: &mut Violations, field: &str, text: String, max_chars: usize) -> String {
    let text = check(violations, field, text, max_chars);
    if text.is_empty() {
        violations.add(field, "is required");
    }
    text
}

/// Checks labels: their number, keys and values.
pub fn check_labels(violations: &mut Violations, field: &str, labels: Labels) -> Labels {
    if labels.len() > limits::LABELS {
        violations.add(field, format!("must have at most {} entries", limits::LABELS));
    }
    for (key, value) in &labels {
        let mut found = Violations::new();
        check_required(&mut found, &format!("{field}.key"), key.clone(), limits::LABEL_KEY_CHARS);
        check(&mut found, &format!("{field}.value"), value.clone(), limits::LABEL_VALUE_CHARS);
        violations.extend(found);
    }
    labels
}

/// Checks that an object has no control characters in its keys and texts, is not too deep and not too large.
///
/// Returns its size in bytes, as JSON.
pub fn check_object(violations: &mut Violations, field: &str, object: &Object, max_bytes: usize) -> usize {
    if object.iter().any(|(key, value)| key.chars().any(char::is_control) || has_control(value)) {
        violations.add(field, "must not contain control characters");
    }
    if object.values().any(|value| depth(value) >= limits::STRUCT_DEPTH) {
        violations.add(field, format!("must not be deeper than {} levels", limits::STRUCT_DEPTH));
    }
    let bytes = serde_json::to_string(object).map_or(usize::MAX, |json| json.len());
    if bytes > max_bytes {
        violations.add(field, format!("must not be larger than {max_bytes} bytes as JSON"));
    }
    bytes
}

/// How many numbers a value holds.
pub fn count_numbers(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
        Value::Number(_) => 1,
        Value::Array(values) => values.iter().map(count_numbers).sum(),
        Value::Object(object) => object.values().map(count_numbers).sum(),
    }
}

fn has_control(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.chars().any(char::is_control),
        Value::Array(values) => values.iter().any(has_control),
        Value::Object(object) => {
            object.iter().any(|(key, value)| key.chars().any(char::is_control) || has_control(value))
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
    }
}
