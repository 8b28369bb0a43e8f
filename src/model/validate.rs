//! Checks of texts, labels and objects in requests.

use super::json::{Labels, Object, depth, has_control, is_forbidden};
use super::{Violations, limits};

/// Checks the length and the characters of a text; a blank text becomes empty.
///
/// Control characters are refused; PostgreSQL cannot store NUL.
pub fn text(violations: &mut Violations, field: &str, text: String, max_chars: usize) -> String {
    if text.chars().count() > max_chars {
        violations.add(field, format!("must have at most {max_chars} characters"));
    }
    if text.chars().any(char::is_control) {
        violations.add(field, "must not contain control characters");
    }
    if text.trim().is_empty() { String::new() } else { text }
}

/// Like [`text`], for descriptions and reasons, which can have several lines. A line break is one character: `\r\n` becomes
/// `\n`.
pub fn multiline_text(violations: &mut Violations, field: &str, text: String, max_chars: usize) -> String {
    let text = if text.contains('\r') { text.replace("\r\n", "\n") } else { text };
    if text.chars().count() > max_chars {
        violations.add(field, format!("must have at most {max_chars} characters"));
    }
    if text.chars().any(is_forbidden) {
        violations.add(field, "must not contain control characters other than line breaks and tabs");
    }
    if text.trim().is_empty() { String::new() } else { text }
}

/// Like [`text`], for a required field.
pub fn required_text(violations: &mut Violations, field: &str, text: String, max_chars: usize) -> String {
    let text = self::text(violations, field, text, max_chars);
    if text.is_empty() {
        violations.add(field, "is required");
    }
    text
}

/// Checks the number of labels, their keys and values.
pub fn labels(violations: &mut Violations, field: &str, labels: Labels) -> Labels {
    if labels.len() > limits::MAX_LABELS {
        violations.add(field, format!("must have at most {} labels", limits::MAX_LABELS));
        return labels;
    }
    for (key, value) in &labels {
        let mut found = Violations::new();
        required_text(&mut found, &format!("{field}.key"), key.clone(), limits::MAX_LABEL_KEY_CHARS);
        text(&mut found, &format!("{field}.value"), value.clone(), limits::MAX_LABEL_VALUE_CHARS);
        violations.extend(found);
    }
    labels
}

/// Checks that an object has no control characters in keys and strings, except line breaks and tabs in strings, and does not
/// exceed the limits of depth and size.
///
/// Returns its size in bytes as JSON.
pub fn object(violations: &mut Violations, field: &str, object: &Object, max_bytes: usize) -> usize {
    if object.iter().any(|(key, value)| key.chars().any(char::is_control) || has_control(value)) {
        violations.add(field, "must not contain control characters");
    }
    if object.values().any(|value| depth(value) >= limits::MAX_STRUCT_DEPTH) {
        violations.add(field, format!("must not be deeper than {} levels", limits::MAX_STRUCT_DEPTH));
    }
    let bytes = serde_json::to_string(object).map_or(usize::MAX, |json| json.len());
    if bytes > max_bytes {
        violations.add(field, format!("must not be larger than {max_bytes} bytes as JSON"));
    }
    bytes
}
