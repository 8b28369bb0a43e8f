//! The audit log: who changed what, when, and from which values to which.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::json::Object;

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change was made.
    Succeeded,
    /// The call was denied because a permission is missing.
    Denied,
}

/// An event of the audit log.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// Unique id; UUIDv7.
    pub uid: Uuid,
    /// Time of the call.
    pub time: DateTime<Utc>,
    /// Principal of the actor.
    pub principal: String,
    /// Roles of the actor at the time of the call.
    pub roles: Vec<String>,
    /// Full name of the RPC, or name of the background task.
    pub method: String,
    /// Name of the resource. An event about denied attempts lists up to five names, separated by spaces.
    pub resource: String,
    /// Uid of the resource; absent for denied attempts.
    pub resource_uid: Option<Uuid>,
    /// Display name of the resource after the change; before it, for a deletion.
    pub resource_display_name: String,
    /// Changed fields with their values before and after the change.
    pub diff: AuditDiff,
    /// Outcome of the call.
    pub outcome: Outcome,
    /// Number of calls that the event stands for; more than 1 for aggregated denied attempts only.
    pub count: i64,
    /// Request id of the call (`x-request-id`).
    pub call_id: String,
    /// W3C trace id of the call.
    pub trace_id: Option<String>,
    /// Shared by the events of one batch.
    pub batch_id: Option<Uuid>,
    /// Reason given by the caller or, of a denied attempt, the reason of the denial.
    pub reason: String,
}

/// The resource that an audit event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditResource {
    /// Uid of the resource.
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

    /// Records a field of a resource that existed before, exists after, or both; `value` is the value of a part of the resource.
    /// Empty values of a new or a deleted resource are left out.
    #[must_use]
    pub fn compare<T, P: PartialEq>(
        self,
        name: &str,
        before: Option<&T>,
        after: Option<&T>,
        part: impl Fn(&T) -> &P,
        value: impl Fn(&P) -> Value,
    ) -> Self {
        let value = |resource: &T| value(part(resource));
        let filled = |resource: Option<&T>| resource.map(value).filter(|value| !is_empty(value));
        match (before, after) {
            (Some(before), Some(after)) if part(before) == part(after) => self,
            (Some(before), Some(after)) => self.field(name, value(before), value(after)),
            _ => self.field(name, filled(before).unwrap_or_default(), filled(after).unwrap_or_default()),
        }
    }

    /// Records that a field changed, but not its values.
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

/// Filter for listing audit events; unset fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The event is about this resource.
    pub resource: Option<String>,
    /// The actor is this principal.
    pub principal: Option<String>,
    /// The call is to this RPC.
    pub method: Option<String>,
    /// At or after this time.
    pub start_time: Option<DateTime<Utc>>,
    /// Before this time.
    pub end_time: Option<DateTime<Utc>>,
}
