//! Checks a value against a field.
//!
//! The loader checks default values with the same code, so that no default is refused later.

use serde_json::{Number, Value};

use super::address::{check_host, check_relative_path, check_uri};
use super::spec::{FieldSpec, ValueType};
use crate::model::Violations;

/// The largest integer in a `Struct`, whose numbers are doubles: above it, neighbouring integers become equal.
const MAX_SAFE_INTEGER: i64 = 1 << 53;

/// Checks a value and returns it in canonical form. Returns `None` and adds to `violations` if the value is invalid.
///
/// No description repeats the value, because people paste secrets into the wrong field.
pub(super) fn check_value(field: &FieldSpec, value: &Value, path: &str, violations: &mut Violations) -> Option<Value> {
    let checked = match field.value_type {
        ValueType::String | ValueType::Enum | ValueType::Uri | ValueType::Host => {
            let text = value.as_str().ok_or_else(|| "must be a string".to_owned());
            text.and_then(|text| check_text(field, text)).map(|()| value.clone())
        }
        ValueType::Bool => value.as_bool().map(Value::Bool).ok_or_else(|| "must be true or false".to_owned()),
        ValueType::Integer | ValueType::Port => check_integer(field, value),
        ValueType::Double => check_double(field, value),
        ValueType::StringList => return check_list(field, value, path, violations),
    };
    checked.map_err(|reason| violations.add(path, reason)).ok()
}

/// Checks one value of a credential, which may contain line breaks and tabs.
pub(super) fn check_secret(field: &FieldSpec, text: &str) -> Result<(), String> {
    if text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c)) {
        return Err("must not contain control characters other than line breaks and tabs".to_owned());
    }
    check_rules(field, text)
}

/// Whether a value counts as empty: a string of white space, or a list without items.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Whether two values are equal. Numbers are compared by value: 5432 equals 5432.0.
pub(super) fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || integer(one).zip(integer(other)).is_some_and(|(one, other)| one == other)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        _ => one == other,
    }
}

/// Returns a number as an integer, if it is one of at most [`MAX_SAFE_INTEGER`] in magnitude.
fn integer(number: &Number) -> Option<i64> {
    let integer = number.as_i64().or_else(|| {
        let double = number.as_f64().filter(|double| double.fract() == 0.0)?;
        // Formats without an exponent. A cast would saturate silently.
        format!("{double:.0}").parse().ok()
    })?;
    (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&integer).then_some(integer)
}

fn check_text(field: &FieldSpec, text: &str) -> Result<(), String> {
    if text.contains(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    if field.value_type == ValueType::Host {
        check_host(text)?;
    }
    if field.value_type == ValueType::Uri {
        check_uri(text, field.pattern.is_some())?;
    }
    check_rules(field, text)
}

/// Checks the rules that the field sets: relative path, allowed values and pattern.
fn check_rules(field: &FieldSpec, text: &str) -> Result<(), String> {
    if field.relative_path {
        check_relative_path(text)?;
    }
    if !field.allowed_values.is_empty() && !field.allowed_values.iter().any(|allowed| allowed == text) {
        return Err(format!("must be one of: {}", field.allowed_values.join(", ")));
    }
    match &field.pattern {
        Some(pattern) if !pattern.matches(text) => Err(format!("must match {}", pattern.as_str())),
        _ => Ok(()),
    }
}

fn check_integer(field: &FieldSpec, value: &Value) -> Result<Value, String> {
    let Some(number) = value.as_number().and_then(integer) else {
        return Err("must be an integer".to_owned());
    };
    if field.value_type == ValueType::Port && !(1..=65_535).contains(&number) {
        return Err("must be a port from 1 to 65535".to_owned());
    }
    // Exact: `integer` returns only integers that a double represents.
    check_bounds(field, Number::from(number).as_f64().unwrap_or(f64::NAN))?;
    Ok(Value::from(number))
}

fn check_double(field: &FieldSpec, value: &Value) -> Result<Value, String> {
    let Some(number) = value.as_f64().filter(|number| number.is_finite()) else {
        return Err("must be a number".to_owned());
    };
    check_bounds(field, number)?;
    Ok(Value::from(number))
}

fn check_bounds(field: &FieldSpec, number: f64) -> Result<(), String> {
    if let Some(minimum) = field.minimum.filter(|minimum| number < *minimum) {
        return Err(format!("must be at least {minimum}"));
    }
    match field.maximum.filter(|maximum| number > *maximum) {
        Some(maximum) => Err(format!("must be at most {maximum}")),
        None => Ok(()),
    }
}

fn check_list(field: &FieldSpec, value: &Value, path: &str, violations: &mut Violations) -> Option<Value> {
    let Some(items) = value.as_array() else {
        violations.add(path, "must be a list of strings");
        return None;
    };
    let mut valid = true;
    for (index, item) in items.iter().enumerate() {
        let text = item.as_str().ok_or_else(|| "must be a string".to_owned());
        let checked = text.and_then(|text| {
            if text.trim().is_empty() { Err("must not be empty".to_owned()) } else { check_text(field, text) }
        });
        if let Err(reason) = checked {
            violations.add(format!("{path}[{index}]"), reason);
            valid = false;
        }
    }
    valid.then(|| value.clone())
}
