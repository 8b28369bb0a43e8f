//! Checks what callers send against a connection type.
//!
//! Each check collects all violations, so that a caller can fix them in one attempt.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::spec::{ConnectionType, FieldSpec};
use super::value::{check_secret, check_value, is_blank, same_value};
use crate::model::{Violations, excerpt, limits};

/// Maximum number of characters of a caller's key that a violation shows.
const MAX_SHOWN_KEY_CHARS: usize = 64;

impl ConnectionType {
    /// Checks the properties of a connection. Returns them with defaults filled in and numbers in canonical form.
    ///
    /// # Errors
    /// Returns all violations, each at `<path>.<key>`.
    pub fn check_properties(&self, props: &Map<String, Value>, path: &str) -> Result<Map<String, Value>, Violations> {
        check_fields(&self.property_fields, props, path)
    }

    /// Checks the destination settings of an export. Returns them with defaults filled in and numbers in canonical form.
    ///
    /// # Errors
    /// Returns all violations, each at `<path>.<key>`.
    pub fn check_export_settings(
        &self,
        settings: &Map<String, Value>,
        path: &str,
    ) -> Result<Map<String, Value>, Violations> {
        check_fields(&self.export_fields, settings, path)
    }

    /// Checks the values of an inline credential. No description repeats a value.
    ///
    /// # Errors
    /// Returns all violations, at `<path>.auth_method` or `<path>.inline.values.<key>`.
    pub fn check_credential<'a>(
        &self,
        auth_method: &str,
        values: impl Iterator<Item = (&'a str, &'a str)>,
        path: &str,
    ) -> Result<(), Violations> {
        let mut violations = Violations::new();
        let Some(method) = self.auth_methods.iter().find(|method| method.id == auth_method) else {
            violations.add(format!("{path}.auth_method"), self.allowed_methods());
            return Err(violations);
        };
        let mut given = BTreeSet::new();
        let mut bytes = 0;
        for (key, value) in values {
            bytes += key.len() + value.len();
            let at = field_path(&format!("{path}.inline.values"), key);
            match method.credential_fields.iter().find(|field| field.key == key) {
                None => violations.add(at, unknown_field(&method.credential_fields)),
                Some(field) if field.required && value.trim().is_empty() => violations.add(at, "must not be empty"),
                Some(field) => {
                    if let Err(reason) = check_secret(field, value) {
                        violations.add(at, reason);
                    }
                }
            }
            given.insert(key);
        }
        for field in &method.credential_fields {
            if field.required && !given.contains(field.key.as_str()) {
                violations.add(format!("{path}.inline.values.{}", field.key), "is required");
            }
        }
        if bytes > limits::MAX_CREDENTIAL_BYTES {
            let reason = format!("must not exceed {} bytes, keys and values together", limits::MAX_CREDENTIAL_BYTES);
            violations.add(format!("{path}.inline.values"), reason);
        }
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    /// Returns the paths of the binding fields that differ between two sets of properties. With other values in them the
    /// service connects elsewhere, or as another user.
    ///
    /// An unknown key counts as binding: only fields that the type declares as not binding are not.
    pub fn changed_binding_fields(
        &self,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
        path: &str,
    ) -> Vec<String> {
        let not_binding = |key: &str| self.property_fields.iter().any(|field| field.key == key && !field.binding);
        let same = |key: &str| match (old.get(key), new.get(key)) {
            (Some(old), Some(new)) => same_value(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        keys.into_iter().filter(|key| !not_binding(key) && !same(key)).map(|key| field_path(path, key)).collect()
    }

    /// Returns the paths of all binding fields: `properties.host`, …
    pub fn binding_paths(&self) -> Vec<String> {
        let binding = self.property_fields.iter().filter(|field| field.binding);
        binding.map(|field| format!("properties.{}", field.key)).collect()
    }

    /// Whether a connection of this type needs a credential. If it needs none, it accepts none.
    pub fn needs_credential(&self) -> bool {
        !self.auth_methods.is_empty()
    }

    fn allowed_methods(&self) -> String {
        if self.auth_methods.is_empty() {
            return format!("must be absent; connections of type {} take none", self.id);
        }
        let ids: Vec<&str> = self.auth_methods.iter().map(|method| method.id.as_str()).collect();
        format!("must be one of: {}", ids.join(", "))
    }
}

fn check_fields(
    fields: &[FieldSpec],
    given: &Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>, Violations> {
    let mut violations = Violations::new();
    let mut completed = Map::new();
    for key in given.keys() {
        if !fields.iter().any(|field| &field.key == key) {
            violations.add(field_path(path, key), unknown_field(fields));
        }
    }
    for field in fields {
        let at = format!("{path}.{}", field.key);
        let value = match given.get(&field.key) {
            Some(value) if field.required && is_blank(value) => {
                violations.add(at, "must not be empty");
                None
            }
            Some(value) => check_value(field, value, &at, &mut violations),
            None if field.required => {
                violations.add(at, "is required");
                None
            }
            None => field.default_value.clone(),
        };
        if let Some(value) = value {
            completed.insert(field.key.clone(), value);
        }
    }
    if violations.is_empty() { Ok(completed) } else { Err(violations) }
}

fn unknown_field(fields: &[FieldSpec]) -> String {
    let keys: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
    format!("is not a known field; the fields are: {}", keys.join(", "))
}

/// Returns the path of a key. The key may come from a caller, so it is escaped and truncated.
fn field_path(path: &str, key: &str) -> String {
    format!("{path}.{}", excerpt(key, MAX_SHOWN_KEY_CHARS))
}
