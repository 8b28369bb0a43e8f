//! Checks the settings and the schedule of an export against the type of its connection.

use std::time::Duration;

use crate::app::{App, MutationTx};
use crate::catalog::DeliveredBy;
use crate::delivery::export_check;
use crate::model::json::Object;
use crate::model::schedule::Schedule;
use crate::model::{
    ConnectionTypeId, Error, Export, Invalid, InvalidRequest, Precondition, Result, Violations, limits,
};

/// Checks settings against a type. Returns the valid ones in their normal form, with its defaults filled in.
pub fn check(
    app: &App,
    request: &mut InvalidRequest,
    connection_type: &ConnectionTypeId,
    settings: &Object,
    path: &str,
) -> Object {
    let Some(known) = app.connection_type(connection_type) else {
        let description = format!("cannot be checked: {} is no longer in the catalog", connection_type.name());
        request.refuse(Invalid::Field, path, description);
        return settings.clone();
    };
    let (checked, violations) = known.check_export_settings(settings, path);
    request.add(Invalid::Field, violations);
    checked
}

/// An export does not fit the type of its new connection.
pub fn type_mismatch(export: &Export, target: &ConnectionTypeId, violations: Violations) -> Error {
    Precondition::ConnectionTypeMismatch {
        export: export.name.to_string(),
        export_type: export.connection_type.name(),
        connection_type: target.name(),
        violations,
    }
    .into()
}

/// Checks the settings and the payload of an export against what its destination takes, and names its file. Paths of
/// violations start with `prefix`.
pub fn check_delivery(app: &App, export: &mut Export, prefix: &str) -> Result<()> {
    export.file_name = None;
    let Some(known) = app.connection_type(&export.connection_type) else { return Ok(()) };
    let mut violations = Violations::new();
    let path = format!("{prefix}destination_settings");
    known.check_payload_fields(&export.destination_settings, &export.payload, &path, &mut violations);
    if known.delivered_by != DeliveredBy::BuiltIn {
        return violations.into_result();
    }
    let format = app.delivery().destinations.format(&export.connection_type);
    for refusal in export_check::check(format, &export.destination_settings, &export.payload) {
        violations.add(format!("{prefix}{}", refusal.field), refusal.message);
    }
    violations.into_result()?;
    export.file_name = export_check::file_name(format, &export.name.id, &export.destination_settings, &export.payload);
    Ok(())
}

/// Checks the size of an export as a whole. A stored export over the limit may be saved if it does not grow. Parts that are too
/// large are violations of the form.
pub fn check_size(tx: &MutationTx<'_>, export: &Export, before: Option<&Export>, path: &str) -> Result<()> {
    let bytes = export.bytes();
    let grows = before.is_none_or(|before| bytes > before.bytes());
    if bytes <= limits::MAX_EXPORT_BYTES || !grows || !tx.context.invalid_form.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        path,
        format!("makes the export too large; the limit is {} bytes in total", limits::MAX_EXPORT_BYTES),
    ))
}

/// Checks a schedule against the shortest interval of a type.
pub fn check_schedule(tx: &MutationTx<'_>, export: &Export, schedule: Option<&Schedule>, path: &str) -> Result<()> {
    let Some(schedule) = schedule else { return Ok(()) };
    let shortest = shortest_interval(tx.app, &export.connection_type);
    tx.app.schedules().check(schedule, path, shortest, tx.now, export.create_time)
}

/// Minimum interval of schedules for a connection type.
pub fn shortest_interval(app: &App, connection_type: &ConnectionTypeId) -> Duration {
    app.connection_type(connection_type).map_or(Duration::ZERO, |known| known.min_schedule_interval)
}
