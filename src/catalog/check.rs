//! Checks what callers send against a connection type.
//!
//! Each check collects all violations, so that a caller can fix them in one attempt.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::format::{Context, Format};
use super::spec::{ConnectionType, FieldSpec};
use super::value::{check_endpoint, check_value, field_path, is_blank, read_secret, same_value, trim};
use crate::model::{CredentialSecret, Payload, PayloadField, PayloadTable, Secret, Violations, excerpt, limits};

/// Maximum number of characters of a caller's key that a violation shows.
const MAX_SHOWN_KEY_CHARS: usize = 64;
/// Maximum number of fields of a table that a violation lists.
const MAX_LISTED_FIELDS: usize = 10;

impl ConnectionType {
    /// Checks the properties of a connection. Returns the valid ones in their normal form, with defaults filled in, and all
    /// violations, each at `<path>.<key>`.
    pub fn check_properties(&self, props: &Map<String, Value>, path: &str) -> (Map<String, Value>, Violations) {
        check_fields(&self.property_fields, props, path)
    }

    /// Checks the destination settings of an export in the same way.
    pub fn check_export_settings(&self, settings: &Map<String, Value>, path: &str) -> (Map<String, Value>, Violations) {
        check_fields(&self.export_fields, settings, path)
    }

    /// Checks the settings of an export that name fields of its payload. A table without a list of fields is not checked.
    pub fn check_payload_fields(
        &self,
        settings: &Map<String, Value>,
        payload: &Payload,
        path: &str,
        violations: &mut Violations,
    ) {
        for spec in self.export_fields.iter().filter(|spec| spec.format == Some(Format::PayloadField)) {
            let Some(name) = settings.get(&spec.key).and_then(Value::as_str) else { continue };
            let lacks = |table: &&PayloadTable| {
                !table.fields.is_empty() && table.fields.iter().all(|field| field.output() != name)
            };
            if let Some(table) = payload.tables.iter().find(lacks) {
                let exported: Vec<_> = table.fields.iter().take(MAX_LISTED_FIELDS).map(PayloadField::output).collect();
                let and_more = if table.fields.len() > exported.len() { ", …" } else { "" };
                let (table, exported) = (&table.table, exported.join(", "));
                let description = format!(
                    "must be the output name of a field in every table of the payload; the table {table} exports \
                     {exported}{and_more}"
                );
                violations.add(field_path(path, spec), description);
            }
        }
    }

    /// Checks the values of an inline credential for a connection with these properties. Returns them in their normal form,
    /// without those that are empty. No description repeats a value.
    ///
    /// # Errors
    /// Returns all violations, at `<path>.auth_method`, `<path>.inline.values.<key>` or `<properties_path>.<key>`. Without
    /// a path of properties, because the request has none, missing ones are reported at the auth method.
    pub fn check_credential(
        &self,
        credential: &CredentialSecret,
        path: &str,
        (properties, properties_path): (&Map<String, Value>, Option<&str>),
        now: DateTime<Utc>,
    ) -> Result<CredentialSecret, Violations> {
        let mut violations = Violations::new();
        let Some(method) = self.auth_methods.iter().find(|method| method.id == credential.auth_method) else {
            violations.add(format!("{path}.auth_method"), self.allowed_methods());
            return Err(violations);
        };
        let given = GivenValues { fields: &credential.fields, path: &format!("{path}.inline.values") };
        given.check_keys(&method.credential_fields, &mut violations);
        let mut fields = BTreeMap::new();
        for field in &method.credential_fields {
            let is_required = field.required || field.required_if.as_ref().is_some_and(|when| when.holds(properties));
            match given.read(field, now) {
                Some(Ok(value)) => {
                    fields.insert(field.key.clone(), value);
                }
                Some(Err(reason)) => violations.add(field_path(given.path, field), reason),
                None if is_required => violations.add(field_path(given.path, field), given.absent(field)),
                None => {}
            }
        }
        for key in method.required_properties.iter().filter(|key| !properties.contains_key(*key)) {
            let (at, reason) = if let Some(path) = properties_path {
                (format!("{path}.{key}"), format!("is required for the auth method {}", method.id))
            } else {
                let reason = format!("needs the property {key}; set it and the credential with UpdateConnection");
                (format!("{path}.auth_method"), reason)
            };
            violations.add(at, reason);
        }
        given.check_size(&method.credential_fields, &mut violations);
        violations.into_checked(CredentialSecret { auth_method: credential.auth_method.clone(), fields })
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
        keys.into_iter().filter(|key| !not_binding(key) && !same(key)).map(|key| key_path(path, key)).collect()
    }

    /// Returns the paths of all binding fields: `properties.host`, …
    pub fn binding_paths(&self) -> Vec<String> {
        let binding = self.property_fields.iter().filter(|field| field.binding);
        binding.map(|field| format!("properties.{}", field.key)).collect()
    }

    /// Iterates over the properties that name a Microsoft Entra tenant, by key.
    pub fn entra_tenants<'a>(&'a self, properties: &'a Map<String, Value>) -> impl Iterator<Item = (&'a str, &'a str)> {
        let fields = self.property_fields.iter().filter(|field| field.format == Some(Format::EntraTenant));
        fields.filter_map(|field| Some((field.key.as_str(), properties.get(&field.key)?.as_str()?)))
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

impl FieldSpec {
    /// Whether an object has no value for the field: none at all, null, or an empty one.
    pub fn is_absent(&self, given: &Map<String, Value>) -> bool {
        given.get(&self.key).is_none_or(is_blank)
    }
}

/// The values of a credential as a caller gives them.
struct GivenValues<'a> {
    fields: &'a BTreeMap<String, Secret>,
    /// Path of the values in the request.
    path: &'a str,
}

impl GivenValues<'_> {
    fn check_keys(&self, known: &[FieldSpec], violations: &mut Violations) {
        for key in self.fields.keys().filter(|key| !known.iter().any(|field| &field.key == *key)) {
            violations.add(key_path(self.path, key), unknown_field(known));
        }
    }

    /// Returns a value, unless it is empty, which means that it is not given.
    fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(Secret::expose).filter(|text| !trim(text).is_empty())
    }

    fn read(&self, field: &FieldSpec, now: DateTime<Utc>) -> Option<Result<Secret, Cow<'static, str>>> {
        let companion = field.companion.as_deref();
        let context =
            Context { now, has_companion: companion.is_some(), companion: companion.and_then(|key| self.get(key)) };
        let read = read_secret(field, self.get(&field.key)?, &context);
        Some(read.map(|value| Secret::new(value.into_owned())))
    }

    fn absent(&self, field: &FieldSpec) -> &'static str {
        if self.fields.contains_key(&field.key) { "must not be empty" } else { "is required" }
    }

    fn check_size(&self, known: &[FieldSpec], violations: &mut Violations) {
        let is_certificates =
            |key: &str| known.iter().any(|field| field.key == key && field.format == Some(Format::PemCertificates));
        let (mut bytes, mut certificate_bytes) = (0, 0);
        for (key, value) in self.fields {
            let size = key.len() + value.expose().len();
            if is_certificates(key) { certificate_bytes += size } else { bytes += size }
        }
        if bytes > limits::MAX_CREDENTIAL_BYTES {
            let limit = limits::MAX_CREDENTIAL_BYTES;
            violations.add(self.path, format!("must not exceed {limit} bytes, keys and values without certificates"));
        }
        if certificate_bytes > limits::MAX_CERTIFICATE_BYTES {
            let limit = limits::MAX_CERTIFICATE_BYTES;
            violations.add(self.path, format!("must not have more than {limit} bytes of certificates"));
        }
    }
}

fn check_fields(fields: &[FieldSpec], given: &Map<String, Value>, path: &str) -> (Map<String, Value>, Violations) {
    let mut violations = Violations::new();
    let mut completed = Map::new();
    for key in given.keys() {
        if !fields.iter().any(|field| &field.key == key) {
            violations.add(key_path(path, key), unknown_field(fields));
        }
    }
    for field in fields {
        let value = match given.get(&field.key) {
            Some(value) if !is_blank(value) => check_value(field, value, path, &mut violations),
            Some(_) if field.required => {
                violations.add(field_path(path, field), "must not be empty");
                None
            }
            None if field.required => {
                violations.add(field_path(path, field), "is required");
                None
            }
            Some(_) | None => field.default_value.clone(),
        };
        if let Some(value) = value {
            completed.insert(field.key.clone(), value);
        }
    }
    for field in fields {
        if let Err(reason) = check_beside(field, &completed) {
            violations.add(field_path(path, field), reason);
        }
    }
    (completed, violations)
}

/// Checks a valid value against those of other fields.
fn check_beside(field: &FieldSpec, completed: &Map<String, Value>) -> Result<(), Cow<'static, str>> {
    let text = |key: &String| completed.get(key).and_then(Value::as_str);
    let Some(value) = text(&field.key) else { return Ok(()) };
    check_endpoint(field, value, field.companion.as_ref().and_then(text))?;
    match &field.pattern_if {
        Some((condition, pattern)) if condition.holds(completed) && !pattern.matches(value) => {
            Err(format!("must be {}", pattern.hint()).into())
        }
        Some(_) | None => Ok(()),
    }
}

fn unknown_field(fields: &[FieldSpec]) -> String {
    let keys: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
    format!("is not a known field; the fields are: {}", keys.join(", "))
}

/// Returns the path of a key. It may come from a caller, so it is escaped and truncated.
fn key_path(path: &str, key: &str) -> String {
    format!("{path}.{}", excerpt(key, MAX_SHOWN_KEY_CHARS))
}
