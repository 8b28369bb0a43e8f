//! What the audit log records of an export.

use serde_json::{Value, json};

use crate::model::audit::{AuditDiff, AuditResource};
use crate::model::{AttachmentState, Export, Payload, PayloadFilter};

/// The differences between two states of an export. `before` is `None` for a creation, `after` for a deletion.
pub fn diff(before: Option<&Export>, after: Option<&Export>) -> AuditDiff {
    let diff = AuditDiff::new()
        .compare("display_name", before, after, |export| &export.display_name, |name| json!(name))
        .compare("description", before, after, |export| &export.description, |description| json!(description))
        .compare("connection", before, after, |export| &export.attachment_state, connection)
        .compare("payload", before, after, |export| &export.payload, payload)
        .compare("schedule", before, after, |export| &export.schedule, |schedule| json!(schedule))
        .compare(
            "schedule_pause",
            before,
            after,
            |export| &export.schedule_pause,
            |pause| json!(pause.map(|pause| pause.time)),
        )
        .compare("destination_settings", before, after, |export| &export.destination_settings, |found| json!(found))
        .compare("labels", before, after, |export| &export.labels, |labels| json!(labels))
        .compare("owner", before, after, |export| &export.owner, |owner| json!(owner.as_str()));
    if filters(before) == filters(after) { diff } else { diff.redacted("payload.filters") }
}

/// The data that a preview of a draft shows.
pub fn shown(export: &Export) -> AuditDiff {
    let diff = AuditDiff::new()
        .compare("connection", None, Some(export), |export| &export.attachment_state, connection)
        .compare("payload", None, Some(export), |export| &export.payload, payload);
    if filters(Some(export)).is_empty() { diff } else { diff.redacted("payload.filters") }
}

/// The export as the subject of an audit event.
pub fn resource(export: &Export) -> AuditResource {
    AuditResource { uid: export.uid.0, name: export.name.to_string(), display_name: export.display_name.clone() }
}

fn connection(state: &AttachmentState) -> Value {
    match state {
        AttachmentState::Attached(attachment) => attachment.name.to_string().into(),
        AttachmentState::Detached(_) => Value::Null,
    }
}

/// Tables and fields. Filters are left out: their values may be personal data.
fn payload(payload: &Payload) -> Value {
    let payload = payload.without_types();
    payload.tables.iter().map(|table| json!({ "table": table.table, "fields": table.fields })).collect()
}

/// The filters of each table that has any.
fn filters(export: Option<&Export>) -> Vec<(&str, &[PayloadFilter])> {
    let tables = export.into_iter().flat_map(|export| &export.payload.tables);
    let tables = tables.filter(|table| !table.filters.is_empty());
    tables.map(|table| (table.table.as_str(), table.filters.as_slice())).collect()
}
