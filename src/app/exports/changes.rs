//! What of an export goes to the audit log.

use serde_json::{Value, json};

use crate::model::audit::Changes;
use crate::model::text::Object;
use crate::model::{Export, Payload};

/// What differs between two states of an export.
pub(super) fn between(before: &Export, after: &Export) -> Changes {
    let filters = |export: &Export| {
        export.payload.tables.iter().map(|table| (table.table.clone(), table.filters.clone())).collect::<Vec<_>>()
    };
    let changes = Changes::new()
        .field("display_name", before.display_name.as_str(), after.display_name.as_str())
        .field("description", before.description.as_str(), after.description.as_str())
        .field("connection", connection(before), connection(after))
        .field("payload", payload(&before.payload), payload(&after.payload))
        .field("schedule", schedule(before), schedule(after))
        .field("destination_settings", before.destination_settings.clone(), after.destination_settings.clone())
        .field("labels", labels(before), labels(after));
    if filters(before) == filters(after) { changes } else { changes.hidden("payload.filters") }
}

/// A new export.
pub(super) fn created(export: &Export) -> Changes {
    Changes::new()
        .field("display_name", (), export.display_name.as_str())
        .field("connection", (), connection(export))
        .field("payload", (), payload(&export.payload))
        .field("schedule", (), schedule(export))
        .field("destination_settings", (), export.destination_settings.clone())
}

/// An export that goes.
pub(super) fn removed(export: &Export) -> Changes {
    Changes::new()
        .field("display_name", export.display_name.as_str(), ())
        .field("connection", connection(export), ())
        .field("payload", payload(&export.payload), ())
        .field("schedule", schedule(export), ())
        .field("destination_settings", export.destination_settings.clone(), ())
}

/// An export that loses its connection.
pub(super) fn detached(connection: &str) -> Changes {
    Changes::new().field("connection", connection, ())
}

fn connection(export: &Export) -> Value {
    export.attachment().map_or(Value::Null, |attachment| attachment.name.to_string().into())
}

/// Tables and fields; what rows are chosen by may be personal data.
fn payload(payload: &Payload) -> Value {
    let tables = payload.tables.iter().map(|table| json!({ "table": table.table, "fields": table.fields }));
    Value::Array(tables.collect())
}

fn schedule(export: &Export) -> Value {
    serde_json::to_value(&export.schedule).unwrap_or(Value::Null)
}

fn labels(export: &Export) -> Value {
    export.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<Object>().into()
}
