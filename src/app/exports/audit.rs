//! What the audit log records of an export.

use serde_json::{Value, json};

use crate::model::audit::{AuditDiff, AuditResource};
use crate::model::{Export, PayloadFilter};

/// The differences between two states of an export. `before` is `None` for a creation, `after` for a deletion.
pub fn diff(before: Option<&Export>, after: Option<&Export>) -> AuditDiff {
    let diff = AuditDiff::new()
        .compare("display_name", before, after, |export| json!(export.display_name))
        .compare("description", before, after, |export| json!(export.description))
        .compare("connection", before, after, connection)
        .compare("payload", before, after, payload)
        .compare("schedule", before, after, |export| json!(export.schedule))
        .compare("schedule_pause", before, after, |export| json!(export.schedule_pause.map(|pause| pause.time)))
        .compare("destination_settings", before, after, |export| json!(export.destination_settings))
        .compare("labels", before, after, |export| json!(export.labels))
        .compare("owner", before, after, |export| json!(export.owner.as_str()));
    if filters(before) == filters(after) { diff } else { diff.redacted("payload.filters") }
}

/// The data that a preview of a draft shows.
pub fn shown(export: &Export) -> AuditDiff {
    let diff = AuditDiff::new().compare("connection", None, Some(export), connection).compare(
        "payload",
        None,
        Some(export),
        payload,
    );
    if filters(Some(export)).is_empty() { diff } else { diff.redacted("payload.filters") }
}

/// The export as the subject of an audit event.
pub fn resource(export: &Export) -> AuditResource {
    AuditResource { uid: export.uid.0, name: export.name.to_string(), display_name: export.display_name.clone() }
}

fn connection(export: &Export) -> Value {
    export.attachment().map_or(Value::Null, |attachment| attachment.name.to_string().into())
}

/// Tables and fields. Filters are left out: their values may be personal data.
fn payload(export: &Export) -> Value {
    let payload = export.payload.without_types();
    payload.tables.iter().map(|table| json!({ "table": table.table, "fields": table.fields })).collect()
}

/// The filters of each table that has any.
fn filters(export: Option<&Export>) -> Vec<(&str, &[PayloadFilter])> {
    let tables = export.into_iter().flat_map(|export| &export.payload.tables);
    let tables = tables.filter(|table| !table.filters.is_empty());
    tables.map(|table| (table.table.as_str(), table.filters.as_slice())).collect()
}
