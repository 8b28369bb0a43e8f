//! Checks the settings and the schedule of an export against the type of its connection.

use std::time::Duration;

use crate::app::{App, MutationTx};
use crate::catalog::DeliveredBy;
use crate::delivery::export_check;
use crate::model::json::Object;
use crate::model::schedule::Schedule;
use crate::model::{ConnectionTypeId, Error, Export, Invalid, Precondition, Result, Violations, limits};

/// Checks settings against a type and fills in its defaults.
pub fn check(app: &App, connection_type: &ConnectionTypeId, settings: &Object, path: &str) -> Result<Object> {
    let known = app.connection_type(connection_type).ok_or_else(|| {
        Error::invalid(path, format!("cannot be checked: {} is no longer in the catalog", connection_type.name()))
    })?;
    known.check_export_settings(settings, path).map_err(|found| Error::Invalid(Invalid::Field, found))
}

/// Settings of an export for a new connection: the given ones, or its own if they fit the type.
pub fn adapt(app: &App, export: &Export, target: &ConnectionTypeId, given: Option<&Object>) -> Result<Object> {
    if let Some(given) = given {
        return check(app, target, given, "destination_settings");
    }
    if export.connection_type == *target {
        return Ok(export.destination_settings.clone());
    }
    match check(app, target, &export.destination_settings, "destination_settings") {
        Err(Error::Invalid(_, violations)) => Err(type_mismatch(export, target, violations)),
        adapted => adapted,
    }
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

/// Checks the size of an export as a whole. A stored export over the limit may be saved if it does not grow.
pub fn check_size(export: &Export, before: Option<&Export>, path: &str) -> Result<()> {
    let bytes = export.bytes();
    if bytes <= limits::MAX_EXPORT_BYTES || before.is_some_and(|before| bytes <= before.bytes()) {
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
