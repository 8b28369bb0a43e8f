//! Schedules, and PreviewSchedule.

use std::time::Duration;

use super::validator::RequestValidator;
use super::values::{duration, duration_to_proto, time, time_to_proto};
use crate::app::exports::SchedulePreview;
use crate::grpc::proto as pb;
use crate::model::limits;
use crate::model::schedule::{Occurrence, OverlapPolicy, RepeatedTime, Schedule, Shift, SkippedTime, Timing};

use pb::schedule::cron::{RepeatedTime as WireRepeated, SkippedTime as WireSkipped};
use pb::schedule::{Cron, Interval, OverlapPolicy as WireOverlap, Timing as WireTiming};

/// The interval of a schedule whose timing is invalid.
const STAND_IN: Duration = Duration::from_hours(24 * 7);

/// Converts a schedule. Its meaning is validated later, where the connection type is known.
pub fn schedule(validator: &mut RequestValidator<'_>, path: &str, given: pb::Schedule) -> Schedule {
    let timing = match given.timing {
        Some(WireTiming::Cron(cron)) => cron_timing(validator, path, cron),
        Some(WireTiming::Interval(interval)) => interval_timing(validator, path, &interval),
        None => {
            validator.add(format!("{path}.cron"), "is required, or `interval`");
            None
        }
    };
    let overlap_policy = match WireOverlap::try_from(given.overlap_policy) {
        Ok(WireOverlap::Unspecified | WireOverlap::Skip) => OverlapPolicy::Skip,
        Ok(WireOverlap::BufferOne) => OverlapPolicy::BufferOne,
        Err(_) => {
            validator.add(format!("{path}.overlap_policy"), "is not a known policy");
            OverlapPolicy::Skip
        }
    };
    let failures = u32::try_from(given.pause_after_failures);
    if failures.is_err() {
        validator.add(format!("{path}.pause_after_failures"), "must not be negative");
    }
    let violations = &mut validator.violations;
    let start_time = time(violations, &format!("{path}.start_time"), given.start_time);
    let end_time = time(violations, &format!("{path}.end_time"), given.end_time);
    let jitter = duration(violations, &format!("{path}.jitter"), given.jitter);
    let catchup_window = duration(violations, &format!("{path}.catchup_window"), given.catchup_window);
    Schedule {
        // If it is invalid, another one stands in, so that the other fields are checked.
        timing: timing.unwrap_or(Timing::Interval { every: STAND_IN, anchor: None }),
        enabled: given.enabled,
        start_time,
        end_time,
        jitter,
        overlap_policy,
        catchup_window,
        pause_after_failures: failures.ok().filter(|count| *count > 0),
    }
}

fn cron_timing(validator: &mut RequestValidator<'_>, path: &str, cron: Cron) -> Option<Timing> {
    let skipped_time = match WireSkipped::try_from(cron.skipped_time) {
        Ok(WireSkipped::Unspecified) => Some(None),
        Ok(WireSkipped::RunAtNextValidTime) => Some(Some(SkippedTime::RunAtNextValidTime)),
        Ok(WireSkipped::Skip) => Some(Some(SkippedTime::Skip)),
        Err(_) => None,
    };
    let repeated_time = match WireRepeated::try_from(cron.repeated_time) {
        Ok(WireRepeated::Unspecified) => Some(None),
        Ok(WireRepeated::RunFirst) => Some(Some(RepeatedTime::RunFirst)),
        Ok(WireRepeated::RunBoth) => Some(Some(RepeatedTime::RunBoth)),
        Err(_) => None,
    };
    if skipped_time.is_none() {
        validator.add(format!("{path}.cron.skipped_time"), "is not a known policy");
    }
    if repeated_time.is_none() {
        validator.add(format!("{path}.cron.repeated_time"), "is not a known policy");
    }
    let (expression, time_zone) = (cron.expression, cron.time_zone);
    let (skipped_time, repeated_time) = skipped_time.zip(repeated_time)?;
    Some(Timing::Cron { expression, time_zone, skipped_time, repeated_time })
}

fn interval_timing(validator: &mut RequestValidator<'_>, path: &str, interval: &Interval) -> Option<Timing> {
    if interval.every.is_none() {
        validator.add(format!("{path}.interval.every"), "is required");
    }
    let every = duration(&mut validator.violations, &format!("{path}.interval.every"), interval.every);
    let anchor = time(&mut validator.violations, &format!("{path}.interval.anchor"), interval.anchor);
    Some(Timing::Interval { every: every?, anchor })
}

/// A schedule as a message.
pub fn schedule_to_proto(schedule: &Schedule) -> pb::Schedule {
    let timing = match &schedule.timing {
        Timing::Cron { expression, time_zone, skipped_time, repeated_time } => WireTiming::Cron(Cron {
            expression: expression.clone(),
            time_zone: time_zone.clone(),
            skipped_time: match skipped_time {
                None => WireSkipped::Unspecified,
                Some(SkippedTime::RunAtNextValidTime) => WireSkipped::RunAtNextValidTime,
                Some(SkippedTime::Skip) => WireSkipped::Skip,
            }
            .into(),
            repeated_time: match repeated_time {
                None => WireRepeated::Unspecified,
                Some(RepeatedTime::RunFirst) => WireRepeated::RunFirst,
                Some(RepeatedTime::RunBoth) => WireRepeated::RunBoth,
            }
            .into(),
        }),
        Timing::Interval { every, anchor } => {
            WireTiming::Interval(Interval { every: Some(duration_to_proto(*every)), anchor: anchor.map(time_to_proto) })
        }
    };
    pb::Schedule {
        timing: Some(timing),
        enabled: schedule.enabled,
        start_time: schedule.start_time.map(time_to_proto),
        end_time: schedule.end_time.map(time_to_proto),
        jitter: schedule.jitter.map(duration_to_proto),
        overlap_policy: match schedule.overlap_policy {
            OverlapPolicy::Skip => WireOverlap::Skip,
            OverlapPolicy::BufferOne => WireOverlap::BufferOne,
        }
        .into(),
        catchup_window: schedule.catchup_window.map(duration_to_proto),
        pause_after_failures: schedule.pause_after_failures.and_then(|count| i32::try_from(count).ok()).unwrap_or(0),
    }
}

/// PreviewSchedule: the schedule, and how many occurrences.
pub fn preview_schedule(
    validator: &mut RequestValidator<'_>,
    request: pb::PreviewScheduleRequest,
) -> Option<(Schedule, usize)> {
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    let count = match u32::try_from(request.count) {
        Ok(0) => limits::DEFAULT_PREVIEW_OCCURRENCES,
        Ok(count) if count <= limits::MAX_PREVIEW_OCCURRENCES => count,
        _ => {
            validator.add("count", format!("must be 0 to {}", limits::MAX_PREVIEW_OCCURRENCES));
            0
        }
    };
    let Some(given) = request.schedule else {
        validator.add("schedule", "is required");
        return None;
    };
    Some((schedule(validator, "schedule", given), count as usize))
}

/// The preview of a schedule.
pub fn preview_to_proto(preview: SchedulePreview) -> pb::PreviewScheduleResponse {
    pb::PreviewScheduleResponse {
        occurrences: preview.occurrences.into_iter().map(occurrence_to_proto).collect(),
        time_zone_release: preview.time_zone_release,
    }
}

fn occurrence_to_proto(occurrence: Occurrence) -> pb::preview_schedule_response::Occurrence {
    use pb::preview_schedule_response::occurrence::Shift as Wire;
    let shift = match occurrence.shift {
        Shift::None => Wire::Unspecified,
        Shift::Moved => Wire::Moved,
        Shift::RepeatedFirst => Wire::RepeatedFirst,
        Shift::RepeatedSecond => Wire::RepeatedSecond,
    };
    pb::preview_schedule_response::Occurrence {
        time: Some(time_to_proto(occurrence.time)),
        local_time: occurrence.local_time.to_rfc3339(),
        shift: shift.into(),
    }
}
