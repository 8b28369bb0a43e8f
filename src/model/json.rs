//! JSON values: properties, settings, labels.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::{Map, Number, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// 2^53: below it a double holds every integer exactly.
const MAX_EXACT_INTEGER: u64 = 1 << 53;

/// Length of a value as JSON in bytes; nothing is allocated for it.
pub fn encoded_len(value: &impl Serialize) -> usize {
    struct Length(usize);
    impl io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    serde_json::to_writer(&mut length, value).map_or(usize::MAX, |()| length.0)
}

/// A lower bound of the length of an object as JSON, which costs less than the length: the bytes of its texts, and two for each
/// value.
pub fn least_len(object: &Object) -> usize {
    fn of_value(value: &Value) -> usize {
        2 + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(of_value).sum(),
            Value::Object(object) => least_len(object),
        }
    }
    object.iter().map(|(key, value)| key.len() + of_value(value)).sum()
}

/// Whether a number is so large that the one which was meant may be another one: numbers of messages arrive as doubles.
pub fn is_inexact(number: &Number) -> bool {
    match number.as_i64() {
        Some(whole) => whole.unsigned_abs() >= MAX_EXACT_INTEGER,
        // Larger numbers arrive as doubles without a fraction.
        None => number.as_f64().is_some_and(|double| double.fract() == 0.0),
    }
}

/// Number of numbers in a value.
pub fn count_numbers(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
        Value::Number(_) => 1,
        Value::Array(values) => values.iter().map(count_numbers).sum(),
        Value::Object(object) => object.values().map(count_numbers).sum(),
    }
}

/// Whether a character is a control character other than a line break or tab.
pub fn is_forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\r' | '\t')
}

/// Whether a key in a value contains a control character, or a string one other than line breaks and tabs.
pub fn has_control(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.chars().any(is_forbidden),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_least_length_counts_all_texts() {
        let nested = json!({"host": "sftp.example", "port": 22, "list": ["a", null, {"key": "value \" \n"}], "no": {}});
        let object = nested.as_object().unwrap();
        let texts = "hostportlistnokey".len() + "sftp.example".len() + "a".len() + "value \" \n".len();
        assert_eq!(least_len(object), texts + 2 * 8);
        assert!(least_len(object) <= encoded_len(object));
    }
}
