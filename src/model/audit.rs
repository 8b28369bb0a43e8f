//! The audit log: who did what, when, from what, to what.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::json::Object;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change was made.
    Succeeded,
    /// The call was denied.
    Denied,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Itself; UUIDv7.
    pub uid: Uuid,
    /// When.
    pub time: DateTime<Utc>,
    /// Who.
    pub principal: String,
    /// With which roles.
    pub roles: Vec<String>,
    /// Through which method.
    pub method: String,
    /// On which resource, by its name; of denied attempts up to five, separated by a space.
    pub resource: String,
    /// On which resource.
    pub resource_uid: Option<Uuid>,
    /// What people call it.
    pub resource_display_name: String,
    /// What changed, and from what to what.
    pub diff: AuditDiff,
    /// How it ended.
    pub outcome: Outcome,
    /// How often.
    pub count: i64,
    /// `x-request-id` of the call.
    pub call_id: String,
    /// The trace of the call.
    pub trace_id: Option<String>,
    /// Shared by the events of one batch.
    pub batch_id: Option<Uuid>,
    /// The caller's words, or why it was denied.
    pub reason: String,
}

/// The resource that an audit event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditResource {
    /// Uid.
    pub uid: Uuid,
    /// Resource name.
    pub name: String,
    /// Display name.
    pub display_name: String,
}

/// The fields that a mutation changed, with the values that may be shown.
///
/// Values are recorded only by the few calls of [`AuditDiff::field`], so that no secret can be recorded by accident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditDiff {
    /// Names of the changed fields.
    pub fields: Vec<String>,
    /// Values before the change.
    pub before: Object,
    /// Values after the change.
    pub after: Object,
}

impl AuditDiff {
    /// An empty diff.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a field if its value changed. `Null` means absent and is left out.
    #[must_use]
    pub fn field(mut self, name: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        let (before, after) = (before.into(), after.into());
        if before != after {
            self.fields.push(name.to_owned());
            for (values, value) in [(&mut self.before, before), (&mut self.after, after)] {
                if !value.is_null() {
                    values.insert(name.to_owned(), value);
                }
            }
        }
        self
    }

    /// Records a field of a resource that existed before, exists after, or both. Empty values of a new or a deleted
    /// resource are left out.
    #[must_use]
    pub fn diff<T>(self, name: &str, before: Option<&T>, after: Option<&T>, value: impl Fn(&T) -> Value) -> Self {
        let filled = |resource: Option<&T>| resource.map(&value).filter(|value| !is_empty(value));
        match (before, after) {
            (Some(before), Some(after)) => self.field(name, value(before), value(after)),
            _ => self.field(name, filled(before).unwrap_or_default(), filled(after).unwrap_or_default()),
        }
    }

    /// Records that a field changed without its values.
    #[must_use]
    pub fn redacted(mut self, name: &str) -> Self {
        self.fields.push(name.to_owned());
        self
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// What a list of audit events is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// On this resource name.
    pub resource: Option<String>,
    /// By this principal.
    pub principal: Option<String>,
    /// Through this method.
    pub method: Option<String>,
    /// At or after this time.
    pub start_time: Option<DateTime<Utc>>,
    /// Before this time.
    pub end_time: Option<DateTime<Utc>>,
}
