//! Problems with fields of a request.

use std::fmt;

use super::excerpt::excerpt;
use super::limits;

/// A problem with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Dotted path in the request: `connection.properties.host`.
    pub field: String,
    /// What is wrong and what is accepted; never contains the value of a secret.
    pub description: String,
}

/// The problems of a request, collected so that one response reports them together. The first 100 are kept, and the others
/// are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<FieldViolation>,
    count: usize,
}

impl Violations {
    /// An empty collection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a violation. Field and description are escaped and truncated, because both can contain texts of callers.
    pub fn add(&mut self, field: impl AsRef<str>, description: impl AsRef<str>) {
        if self.kept.len() < limits::MAX_VIOLATIONS {
            self.kept.push(FieldViolation {
                field: excerpt(field.as_ref(), limits::MAX_VIOLATION_FIELD_CHARS),
                description: excerpt(description.as_ref(), limits::MAX_VIOLATION_CHARS),
            });
        }
        self.count += 1;
    }

    /// Whether there are no violations.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns a checked value, or the violations if there are any.
    pub fn into_checked<T>(self, checked: T) -> Result<T, Self> {
        if self.is_empty() { Ok(checked) } else { Err(self) }
    }

    /// Adds the violations found by another check.
    pub fn extend(&mut self, other: Violations) {
        let free = limits::MAX_VIOLATIONS - self.kept.len();
        self.kept.extend(other.kept.into_iter().take(free));
        self.count += other.count;
    }

    /// Adds the violations of another check, except those at a field that has one already, or below it. Those at a field replace
    /// the ones below it.
    pub fn extend_with_others(&mut self, other: Violations) {
        for found in &other.kept {
            let before = self.kept.len();
            self.kept.retain(|known| known.field == found.field || !is_at_or_below(&known.field, &found.field));
            self.count -= before - self.kept.len();
        }
        let is_known = |field: &str| self.kept.iter().any(|known| is_at_or_below(field, &known.field));
        let (dropped, kept): (Vec<_>, Vec<_>) = other.kept.into_iter().partition(|found| is_known(&found.field));
        self.extend(Violations { kept, count: other.count - dropped.len() });
    }

    /// The first violations in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &FieldViolation> {
        self.kept.iter()
    }

    /// Number of violations, also of those that were not kept.
    pub fn len(&self) -> usize {
        self.count
    }
}

/// Whether a path is that of a field, or of a part of it.
fn is_at_or_below(path: &str, field: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, FieldViolation { field, description }) in self.kept.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{field} {description}")?;
        }
        match self.count - self.kept.len() {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::is_unsafe;

    #[test]
    fn texts_of_callers_are_escaped_and_truncated() {
        let hostile = "\u{1b}[31m\n\u{202e}ä".repeat(100_000);
        let mut violations = Violations::new();
        violations.add(format!("connection.properties.{hostile}"), format!("must not contain {hostile}"));
        let found = violations.iter().next().unwrap();
        assert!(found.field.starts_with("connection.properties.\\u{1b}[31m\\n\\u{202e}ä"), "{}", found.field);
        for (text, max_chars) in
            [(&found.field, limits::MAX_VIOLATION_FIELD_CHARS), (&found.description, limits::MAX_VIOLATION_CHARS)]
        {
            assert!(text.ends_with('…') && text.chars().count() <= max_chars && !text.contains(is_unsafe), "{text}");
        }
    }
}
