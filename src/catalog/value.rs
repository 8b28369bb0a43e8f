//! Checks a value against a field.
//!
//! The loader checks default values with the same code, so that no default is refused later.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::address::{ascii_host, ascii_uri, check_host, check_relative_path, check_uri};
use super::format::Context;
use super::spec::{AllowedValue, FieldSpec, ValueType};
use crate::model::Violations;

/// The largest integer in a `Struct`, whose numbers are doubles: above it, neighbouring integers become equal.
const MAX_SAFE_INTEGER: i64 = 1 << 53;

/// Checks a value of an object at `path`, and returns it in canonical form. Returns `None` and adds to `violations` if the value is
/// invalid.
///
/// No description repeats the value, because people paste secrets into the wrong field.
pub(super) fn check_value(field: &FieldSpec, value: &Value, path: &str, violations: &mut Violations) -> Option<Value> {
    let checked = match field.value_type {
        ValueType::String | ValueType::Enum | ValueType::Uri | ValueType::Host => {
            let text = value.as_str().ok_or_else(|| "must be a string".to_owned());
            text.and_then(|text| read_text(field, text)).map(Value::String)
        }
        ValueType::Bool => value.as_bool().map(Value::Bool).ok_or_else(|| {
            let quotes = if value.is_string() { ", without quotes" } else { "" };
            format!("must be true or false{quotes}")
        }),
        ValueType::Integer | ValueType::Port => check_integer(field, value),
        ValueType::Double => check_double(field, value),
        ValueType::StringList => return check_list(field, value, path, violations),
    };
    checked.map_err(|reason| violations.add(field_path(path, field), reason)).ok()
}

/// The path of a field of an object.
pub(super) fn field_path(path: &str, field: &FieldSpec) -> String {
    format!("{path}.{}", field.key)
}

/// Reads one value of a credential, which may contain line breaks and tabs.
///
/// White space around a value with a format is dropped. A password keeps its spaces, and loses the final line breaks that
/// files and terminals add.
pub(super) fn read_secret<'a>(
    field: &FieldSpec,
    text: &'a str,
    context: &Context<'_>,
) -> Result<Cow<'a, str>, Cow<'static, str>> {
    let text = if field.format.is_some() { trim(text) } else { text.trim_end_matches(['\r', '\n']) };
    if text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c)) {
        return Err("must not contain control characters other than line breaks and tabs".into());
    }
    check_rules(field, text)?;
    field.format.map_or(Ok(Cow::Borrowed(text)), |format| format.read(text, context))
}

/// Drops white space around a text, and the invisible characters that editors and web pages leave there.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

/// Whether a value means that none is given: null, a string of white space, or a list without items.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => trim(text).is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
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

/// Reads a text and returns it in its normal form.
fn read_text(field: &FieldSpec, text: &str) -> Result<String, String> {
    let text = trim(text);
    let text = match field.format {
        Some(format) if !format.is_uri() => format.read(text, &Context::default())?,
        Some(_) | None => Cow::Borrowed(text),
    };
    if text.contains(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    let text = if field.value_type == ValueType::Host {
        let host = ascii_host(&text)?;
        check_host(&host)?;
        host
    } else if field.value_type == ValueType::Uri {
        let uri = ascii_uri(&text)?;
        let is_https = field.pattern.as_ref().is_some_and(|pattern| pattern.as_str().starts_with("https://"));
        if is_https && !uri.contains("://") {
            return Err("must be a URL that begins with https://; put it before the host".to_owned());
        }
        check_uri(&uri, field.pattern.is_some())?;
        // Before its pattern, whose hint says less.
        check_endpoint(field, &uri, None)?;
        uri
    } else {
        text.into_owned()
    };
    check_rules(field, &text)?;
    Ok(text)
}

/// Checks a URI against the format of its field, and the property that the format refers to.
pub(super) fn check_endpoint(field: &FieldSpec, uri: &str, companion: Option<&str>) -> Result<(), Cow<'static, str>> {
    let Some(format) = field.format.filter(|format| format.is_uri()) else { return Ok(()) };
    let context = Context { has_companion: field.companion.is_some(), companion, ..Context::default() };
    format.read(uri, &context).map(drop)
}

/// Checks the rules that the field sets: relative path, allowed values and pattern.
fn check_rules(field: &FieldSpec, text: &str) -> Result<(), Cow<'static, str>> {
    if field.relative_path {
        check_relative_path(text)?;
    }
    if !field.allowed_values.is_empty() && !field.allowed_values.iter().any(|allowed| allowed.value == text) {
        return Err(format!("must be one of: {}", names(&field.allowed_values)).into());
    }
    match &field.pattern {
        Some(pattern) if !pattern.matches(text) => Err(format!("must be {}", pattern.hint()).into()),
        _ => Ok(()),
    }
}

fn names(allowed: &[AllowedValue]) -> String {
    let values: Vec<&str> = allowed.iter().map(|allowed| allowed.value.as_str()).collect();
    values.join(", ")
}

fn check_integer(field: &FieldSpec, value: &Value) -> Result<Value, String> {
    let Some(number) = value.as_number().and_then(integer) else {
        return Err(not_a_number(value, "an integer"));
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
        return Err(not_a_number(value, "a number"));
    };
    check_bounds(field, number)?;
    Ok(Value::from(number))
}

fn not_a_number(value: &Value, expected: &str) -> String {
    let is_quoted = value.as_str().is_some_and(|text| trim(text).parse::<f64>().is_ok());
    if is_quoted { format!("must be {expected}, without quotes") } else { format!("must be {expected}") }
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
    // Lists with a format are comma-separated texts in the files that people copy them from.
    let is_text = value.is_string() && field.format.is_some();
    let items = value.as_array().map(Vec::as_slice).or(is_text.then_some(std::slice::from_ref(value)));
    let Some(given) = items else {
        violations.add(field_path(path, field), "must be a list of strings");
        return None;
    };
    let mut items = Vec::new();
    let before = violations.len();
    for (index, item) in given.iter().enumerate() {
        let path = format!("{}[{index}]", field_path(path, field));
        let Some(text) = item.as_str() else {
            violations.add(path, "must be a string");
            continue;
        };
        let parts: Vec<&str> = match field.format {
            Some(format) => text.split(|c| format.is_separator(c)).filter(|part| !trim(part).is_empty()).collect(),
            None => vec![text],
        };
        if parts.iter().all(|part| trim(part).is_empty()) {
            violations.add(path, "must not be empty");
            continue;
        }
        for part in parts {
            match read_text(field, part) {
                Ok(text) => items.push(Value::String(text)),
                Err(reason) => violations.add(path.clone(), reason),
            }
        }
    }
    (violations.len() == before).then_some(Value::Array(items))
}
