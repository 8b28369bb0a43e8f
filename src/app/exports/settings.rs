//! Settings and schedule of an export, checked against the type of its connection.

use std::time::Duration;

use crate::app::App;
use crate::app::change::Change;
use crate::model::schedule::Schedule;
use crate::model::text::Object;
use crate::model::{Error, Export, Precondition, Result, TypeId};

/// Checks settings against a type and writes its defaults in.
pub(super) fn check(app: &App, connection_type: &TypeId, settings: &Object, path: &str) -> Result<Object> {
    let known = app.connection_type(connection_type).ok_or_else(|| {
        Error::invalid(path, format!("cannot be checked: the catalog has no {} any more", connection_type.name()))
    })?;
    known.check_export_settings(settings, path).map_err(|found| Error::Invalid(crate::model::Invalid::Field, found))
}

/// The settings of an export that goes to a connection of another type: those given, or else its own if they fit.
pub(super) fn refit(app: &App, export: &Export, target: &TypeId, given: Option<&Object>) -> Result<Object> {
    if let Some(given) = given {
        return check(app, target, given, "destination_settings");
    }
    if export.connection_type == *target {
        return Ok(export.destination_settings.clone());
    }
    match check(app, target, &export.destination_settings, "destination_settings") {
        Err(Error::Invalid(_, violations)) => Err(Precondition::ConnectionTypeMismatch {
            export: export.name.to_string(),
            export_type: export.connection_type.name(),
            connection_type: target.name(),
            violations,
        }
        .into()),
        fitted => fitted,
    }
}

/// Checks a schedule against the shortest interval of a type.
pub(super) fn check_schedule(
    change: &Change<'_>,
    export: &Export,
    schedule: Option<&Schedule>,
    path: &str,
) -> Result<()> {
    let Some(schedule) = schedule else { return Ok(()) };
    let known = change.app.connection_type(&export.connection_type);
    let shortest = known.map_or(Duration::ZERO, |known| known.min_schedule_interval);
    schedule.check(path, shortest, change.now, export.create_time)
}
