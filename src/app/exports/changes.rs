//! What of an export goes to the audit log.

use serde_json::{Value, json};

use crate::model::Export;
use crate::model::audit::Changes;

/// What differs between two states of an export: one that is new was nothing before, one that goes is nothing after.
pub(super) fn between(before: Option<&Export>, after: Option<&Export>) -> Changes {
    let changes = Changes::new()
        .of("display_name", before, after, |export| json!(export.display_name))
        .of("description", before, after, |export| json!(export.description))
        .of("connection", before, after, connection)
        .of("payload", before, after, payload)
        .of("schedule", before, after, |export| json!(export.schedule))
        .of("destination_settings", before, after, |export| json!(export.destination_settings))
        .of("labels", before, after, |export| json!(export.labels));
    if filters(before) == filters(after) { changes } else { changes.hidden("payload.filters") }
}

/// An export that loses its connection.
pub(super) fn detached(connection: &str) -> Changes {
    Changes::new().field("connection", connection, ())
}

fn connection(export: &Export) -> Value {
    export.attachment().map_or(Value::Null, |attachment| attachment.name.to_string().into())
}

/// Tables and fields; what rows are chosen by may be personal data.
fn payload(export: &Export) -> Value {
    let tables = export.payload.tables.iter();
    tables.map(|table| json!({ "table": table.table, "fields": table.fields })).collect()
}

/// What rows are chosen by, table by table, where anything is.
fn filters(export: Option<&Export>) -> Vec<(&str, &[crate::model::PayloadFilter])> {
    let tables = export.into_iter().flat_map(|export| &export.payload.tables);
    let tables = tables.filter(|table| !table.filters.is_empty());
    tables.map(|table| (table.table.as_str(), table.filters.as_slice())).collect()
}
