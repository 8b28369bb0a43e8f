//! Time zones: the offset at an instant and the next transition of a zone.
//!
//! chrono-tz has no public list of transitions, so they are searched for by comparing offsets.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Step of the search for a transition: 2 days.
///
/// Two transitions within one step that cancel each other would be missed. The shortest such period in the tz database
/// since 1970 is 6 days and 23 hours (America/Recife in October 2000, Asia/Gaza in October 2040; tzdata 2025b).
const STEP_SECONDS: i64 = 2 * 86_400;

/// The first second of 2101; chrono-tz has no transition of any zone after it.
///
/// Without this bound, a schedule that fires once a year would search through centuries without transitions.
const NO_MORE_CHANGES: i64 = 4_133_980_800;

/// Whether an instant is the first or the second occurrence of its wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The wall time occurs once.
    Only,
    /// The earlier of two instants.
    First,
    /// The later of two instants.
    Second,
}

/// The offset from UTC at an instant.
pub(super) fn offset_at(zone: Tz, instant: DateTime<Utc>) -> TimeDelta {
    let seconds = zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc();
    TimeDelta::seconds(i64::from(seconds))
}

/// The first instant after `after` and not after `until` at which the offset differs from that at `after`.
pub(super) fn next_transition(zone: Tz, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // Transitions are at whole seconds, so the offset is constant within a second.
    let offset = offset_at(zone, after);
    let changed = |second: i64| DateTime::from_timestamp(second, 0).is_some_and(|at| offset_at(zone, at) != offset);
    let (mut before, last) = (after.timestamp(), until.timestamp().min(NO_MORE_CHANGES));
    while before < last {
        let step_end = last.min(before + STEP_SECONDS);
        if changed(step_end) {
            return DateTime::from_timestamp(bisect(before, step_end, changed), 0);
        }
        before = step_end;
    }
    None
}

/// The first second for which `changed` holds; it holds at `at_or_after` and not at `before`.
fn bisect(mut before: i64, mut at_or_after: i64, changed: impl Fn(i64) -> bool) -> i64 {
    while at_or_after - before > 1 {
        let middle = before + (at_or_after - before) / 2;
        if changed(middle) {
            at_or_after = middle;
        } else {
            before = middle;
        }
    }
    at_or_after
}

/// Whether the instant is the first or the second occurrence of the wall time `wall`.
pub(super) fn pass_of(zone: Tz, wall: &NaiveDateTime, instant: DateTime<Utc>) -> Pass {
    match zone.offset_from_local_datetime(wall) {
        MappedLocalTime::Ambiguous(..) => {}
        MappedLocalTime::Single(_) | MappedLocalTime::None => return Pass::Only,
    }
    let earliest = zone.from_local_datetime(wall).earliest();
    if earliest.is_some_and(|earliest| earliest.to_utc() == instant) { Pass::First } else { Pass::Second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_zone_changes_from_2101_on() {
        for zone in chrono_tz::TZ_VARIANTS {
            let at = |second: i64| offset_at(zone, DateTime::from_timestamp(second, 0).unwrap());
            let last = at(NO_MORE_CHANGES);
            let decade = (0..366 * 10).map(|days| NO_MORE_CHANGES + days * 86_400);
            assert!(decade.into_iter().all(|second| at(second) == last), "{zone}");
            assert_eq!(at(NO_MORE_CHANGES * 20), last, "{zone}");
        }
    }
}
