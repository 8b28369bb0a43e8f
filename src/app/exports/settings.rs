//! Settings and schedule of an export, checked against the type of its connection.

use std::collections::HashSet;
use std::time::Duration;

use crate::app::App;
use crate::app::change::Change;
use crate::model::schedule::{Schedule, Timing};
use crate::model::text::Object;
use crate::model::{Error, Export, Precondition, Result, ConnectionTypeId, limits};

/// Checks settings against a type and writes its defaults in.
pub(super) fn check(app: &App, connection_type: &ConnectionTypeId, settings: &Object, path: &str) -> Result<Object> {
    let known = app.connection_type(connection_type).ok_or_else(|| {
        Error::invalid(path, format!("cannot be checked: the catalog has no {} any more", connection_type.name()))
    })?;
    known.check_export_settings(settings, path).map_err(|found| Error::Invalid(crate::model::Invalid::Field, found))
}

/// The settings of an export that goes to a connection of another type: those given, or else its own if they fit.
pub(super) fn refit(app: &App, export: &Export, target: &ConnectionTypeId, given: Option<&Object>) -> Result<Object> {
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

/// Refuses an export that is too large as a whole, and larger than it was: what is stored already may always stay.
pub(super) fn check_size(export: &Export, before: Option<&Export>, path: &str) -> Result<()> {
    let bytes = export.bytes();
    if bytes <= limits::EXPORT_BYTES || before.is_some_and(|before| bytes <= before.bytes()) {
        return Ok(());
    }
    Err(Error::invalid(path, format!("must not be larger than {} bytes, as a whole", limits::EXPORT_BYTES)))
}

/// Checks a schedule against the shortest interval of a type.
pub(super) fn check_schedule(
    change: &Change<'_>,
    export: &Export,
    schedule: Option<&Schedule>,
    path: &str,
) -> Result<()> {
    let Some(schedule) = schedule else { return Ok(()) };
    let shortest = shortest_interval(change.app, &export.connection_type);
    schedule.check(path, shortest, change.now, export.create_time)
}

/// The shortest interval that a type permits.
pub(super) fn shortest_interval(app: &App, connection_type: &ConnectionTypeId) -> Duration {
    app.connection_type(connection_type).map_or(Duration::ZERO, |known| known.min_schedule_interval)
}

/// The schedules that a batch has checked: looking at a thousand times of one takes a while, and those of a batch are
/// often equal.
#[derive(Default)]
pub(super) struct CheckedSchedules(HashSet<(ConnectionTypeId, Schedule)>);

impl CheckedSchedules {
    /// Checks the schedule of an export for its type, unless an equal one was.
    pub(super) fn check(&mut self, change: &Change<'_>, export: &Export, path: &str) -> Result<()> {
        let Some(schedule) = &export.schedule else { return Ok(()) };
        let key = (export.connection_type.clone(), schedule.clone());
        if !self.0.contains(&key) {
            check_schedule(change, export, Some(schedule), path)?;
            // An interval counts from each export's own creation, and costs next to nothing.
            if matches!(schedule.timing, Timing::Cron { .. }) {
                self.0.insert(key);
            }
        }
        Ok(())
    }
}
