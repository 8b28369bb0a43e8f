//! Rules of schedules, each with a minimal example.
//!
//! The comparisons with a slow reference are in `transitions` (of time zones) and `fields` (expressions).

mod fields;
mod reference;
mod transitions;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::model::{Error, Invalid, limits};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn schedule(timing: Timing) -> Schedule {
    Schedule {
        timing,
        enabled: true,
        start_time: None,
        end_time: None,
        jitter: None,
        overlap_policy: OverlapPolicy::default(),
        catchup_window: None,
        pause_after_failures: None,
    }
}

fn cron(expression: &str, time_zone: &str) -> Schedule {
    cron_with(expression, time_zone, SkippedTime::default(), RepeatedTime::default())
}

fn cron_with(expression: &str, time_zone: &str, skipped_time: SkippedTime, repeated_time: RepeatedTime) -> Schedule {
    let (expression, time_zone) = (expression.to_owned(), time_zone.to_owned());
    schedule(Timing::Cron { expression, time_zone, skipped_time, repeated_time })
}

fn interval(every: Duration, anchor: Option<DateTime<Utc>>) -> Schedule {
    schedule(Timing::Interval { every, anchor })
}

const NOW: &str = "2026-01-01T00:00:00Z";

fn check(schedule: &Schedule, min_interval: Duration) -> Result<(), Error> {
    schedule.check("export.schedule", min_interval, at(NOW), at(NOW))
}

/// The fields with violations.
fn bad_fields(schedule: &Schedule) -> Vec<String> {
    match check(schedule, Duration::ZERO) {
        Err(Error::Invalid(Invalid::Field, violations)) => {
            violations.iter().map(|violation| violation.field.replace("export.schedule.", "")).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn local_times(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let preview = Evaluator::new(schedule, at(NOW)).unwrap().preview(at(after), count);
    preview.into_iter().map(|occurrence| occurrence.local_time.to_rfc3339()).collect()
}

#[test]
fn serialization_round_trips() {
    let mut written = cron("  30 02\t* * mon-FRI ", "Europe/Berlin");
    written.start_time = Some(at("2026-01-01T00:00:00.123456Z"));
    written.jitter = Some(Duration::from_micros(1_500_001));
    written.catchup_window = Some(Duration::ZERO);
    written.pause_after_failures = Some(3);
    written.overlap_policy = OverlapPolicy::BufferOne;
    let json = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), written);
    assert!(json.contains(r#""jitter":1500001"#), "{json}");

    let written = interval(Duration::from_hours(1), Some(at(NOW)));
    let json = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), written);
    assert_eq!(written.catchup_window, None);

    let least = r#"{"timing":{"cron":{"expression":"0 6 * * *","time_zone":"UTC"}}}"#;
    let read: Schedule = serde_json::from_str(least).unwrap();
    assert_eq!(read, Schedule { enabled: false, ..cron("0 6 * * *", "UTC") });
    assert!(serde_json::to_string(&interval(Duration::from_nanos(1_500), None)).is_err());
}

#[test]
fn a_skipped_wall_time_runs_after_the_gap_or_not_at_all() {
    let moved = local_times(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z", 2);
    assert_eq!(moved, ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]);
    let skip = cron_with("30 2 * * *", "Europe/Berlin", SkippedTime::Skip, RepeatedTime::RunFirst);
    assert_eq!(local_times(&skip, "2026-03-28T12:00:00Z", 1), ["2026-03-30T02:30:00+02:00"]);
    // Four wall times in the gap and the one after it map to the same instant: one run.
    let quarters = local_times(&cron("*/15 * * * *", "Europe/Berlin"), "2026-03-29T00:30:00Z", 3);
    assert_eq!(quarters, ["2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"]);
    // Samoa skipped 30 December 2011: occurrences of that day move to the beginning of the 31st.
    let samoa = cron("0 12 * * *", "Pacific/Apia");
    let expected = ["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"];
    assert_eq!(local_times(&samoa, "2011-12-29T12:00:00Z", 3), expected);
}

#[test]
fn a_repeated_wall_time_runs_once_or_twice() {
    let after = "2026-10-25T00:15:00Z";
    let first = local_times(&cron("*/30 * * * *", "Europe/Berlin"), after, 2);
    assert_eq!(first, ["2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"]);
    let both = cron_with("*/30 * * * *", "Europe/Berlin", SkippedTime::default(), RepeatedTime::RunBoth);
    let preview = Evaluator::new(&both, at(NOW)).unwrap().preview(at(after), 4);
    let found: Vec<_> = preview.iter().map(|run| (run.local_time.to_rfc3339(), run.shift)).collect();
    let expected = [
        ("2026-10-25T02:30:00+02:00", Shift::RepeatedFirst),
        ("2026-10-25T02:00:00+01:00", Shift::RepeatedSecond),
        ("2026-10-25T02:30:00+01:00", Shift::RepeatedSecond),
        ("2026-10-25T03:00:00+01:00", Shift::None),
    ];
    let expected = expected.map(|(local_time, shift)| (local_time.to_owned(), shift));
    assert_eq!(found, expected);
}

#[test]
fn two_transitions_within_weeks_are_both_found() {
    // Morocco put its clocks back for Ramadan (20 July 2012) and forward again a month later.
    let both = cron_with("30 2 20 7,9 *", "Africa/Casablanca", SkippedTime::default(), RepeatedTime::RunBoth);
    let expected = ["2012-07-20T02:30:00+01:00", "2012-07-20T02:30:00+00:00", "2012-09-20T02:30:00+01:00"];
    assert_eq!(local_times(&both, "2012-07-01T00:00:00Z", 3), expected);
}

#[test]
fn start_is_inclusive_and_end_exclusive() {
    let mut daily = cron("0 6 * * *", "UTC");
    daily.start_time = Some(at("2026-02-01T06:00:00Z"));
    daily.end_time = Some(at("2026-02-03T06:00:00Z"));
    assert_eq!(local_times(&daily, NOW, 9), ["2026-02-01T06:00:00+00:00", "2026-02-02T06:00:00+00:00"]);
    daily.start_time = Some(at("2026-02-01T06:00:00.000001Z"));
    daily.end_time = Some(at("2026-02-03T06:00:00.000001Z"));
    assert_eq!(local_times(&daily, NOW, 9), ["2026-02-02T06:00:00+00:00", "2026-02-03T06:00:00+00:00"]);
}

#[test]
fn an_interval_is_a_grid_through_its_anchor() {
    let anchor = at("2026-01-01T00:00:00.25Z");
    let hourly = Evaluator::new(&interval(Duration::from_hours(1), Some(anchor)), at(NOW)).unwrap();
    let next = |after: &str| hourly.next_after(at(after)).unwrap().time;
    assert_eq!(next("2026-01-01T00:00:00.25Z"), at("2026-01-01T01:00:00.25Z"));
    assert_eq!(next("2026-01-01T00:00:00.249999Z"), anchor);
    assert_eq!(next("2025-12-31T22:59:59Z"), at("2025-12-31T23:00:00.25Z"));
    let by_creation = Evaluator::new(&interval(Duration::from_mins(1), None), at("2026-01-01T00:00:07Z")).unwrap();
    assert_eq!(by_creation.next_after(at("2026-03-29T01:00:00Z")).unwrap().time, at("2026-03-29T01:00:07Z"));
    assert_eq!(by_creation.preview(at(NOW), 500).len(), limits::MAX_PREVIEW_OCCURRENCES as usize);
}

#[test]
fn extreme_times_do_not_overflow() {
    for anchor in [None, Some(DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MAX_UTC)] {
        let timings = [interval(MIN_EVERY, anchor), interval(MAX_EVERY, anchor), cron("0 6 * * *", "Pacific/Apia")];
        for schedule in timings {
            let evaluator = Evaluator::new(&schedule, at(NOW)).unwrap();
            for after in [at("0001-01-01T00:00:00Z"), at("9999-12-31T23:59:59Z")] {
                assert!(evaluator.next_after(after).is_none_or(|next| next.time > after));
            }
            assert_eq!(evaluator.next_after(DateTime::<Utc>::MAX_UTC), None);
        }
    }
}

#[test]
fn jitter_is_deterministic_and_within_its_window() {
    let mut daily = cron("0 6 * * *", "UTC");
    daily.jitter = Some(Duration::from_mins(10));
    let evaluator = Evaluator::new(&daily, at(NOW)).unwrap();
    // Fixed values: replicas of different versions must agree.
    let known = evaluator.next_run_time(Uuid::from_u128(1), at(NOW)).unwrap();
    assert_eq!(known.schedule_time, at("2026-01-01T06:00:00Z"));
    assert_eq!(known.next_run_time, at("2026-01-01T06:03:05.108309Z"));

    let delays: Vec<TimeDelta> = (0..1_000)
        .map(|uid| evaluator.next_run_time(Uuid::from_u128(uid), at(NOW)).unwrap())
        .map(|run| run.next_run_time - run.schedule_time)
        .collect();
    assert!(delays.iter().all(|delay| (TimeDelta::zero()..TimeDelta::seconds(600)).contains(delay)));
    let early = delays.iter().filter(|delay| **delay < TimeDelta::seconds(300)).count();
    assert!((400..=600).contains(&early), "{early} of 1,000 in the first half");

    daily.jitter = None;
    let run = Evaluator::new(&daily, at(NOW)).unwrap().next_run_time(Uuid::nil(), at(NOW)).unwrap();
    assert_eq!(run.next_run_time, run.schedule_time);
}

#[test]
fn a_run_delayed_by_jitter_is_not_skipped() {
    let mut daily = cron("0 6 * * *", "UTC");
    daily.jitter = Some(Duration::from_mins(10));
    let (evaluator, uid) = (Evaluator::new(&daily, at(NOW)).unwrap(), Uuid::from_u128(1));
    let due = |after: &str, now: &str| evaluator.next_run_due(uid, at(after), at(now)).unwrap();
    let first = due(NOW, NOW);
    assert_eq!(first.next_run_time, at("2026-01-01T06:03:05.108309Z"));
    // The nominal time of this run has passed, but it is not due yet.
    assert_eq!(due("2025-12-30T06:09:00Z", "2026-01-01T06:01:00Z"), first);
    // Once due, it is not returned again; nor is it when its own nominal time is passed as the previous one.
    let second = due(NOW, "2026-01-01T06:03:06Z");
    assert_eq!(second.schedule_time, at("2026-01-02T06:00:00Z"));
    assert_eq!(due("2026-01-01T06:00:00Z", "2026-01-01T06:01:00Z"), second);
}

#[test]
fn all_invalid_fields_are_reported_at_once() {
    let mut bad = cron("61 6 * * MOON", "Europe/Berlyn");
    bad.start_time = Some(at(NOW));
    bad.end_time = Some(at(NOW));
    bad.jitter = Some(MAX_JITTER + Duration::from_secs(1));
    bad.catchup_window = Some(MAX_CATCHUP_WINDOW + Duration::from_micros(1));
    bad.pause_after_failures = Some(0);
    let expected = [
        "cron.expression",
        "cron.expression",
        "cron.time_zone",
        "end_time",
        "jitter",
        "catchup_window",
        "pause_after_failures",
    ];
    assert_eq!(bad_fields(&bad), expected);
    for every in [Duration::ZERO, Duration::from_millis(999), MAX_EVERY + Duration::from_secs(1), Duration::MAX] {
        assert_eq!(bad_fields(&interval(every, None)), ["interval.every"]);
    }
    assert_eq!(bad_fields(&interval(Duration::from_nanos(1_000_000_001), None)), ["interval.every"]);
    for every in [MIN_EVERY, MAX_EVERY] {
        check(&interval(every, None), Duration::ZERO).unwrap();
    }
}

#[test]
fn occurrences_closer_than_the_minimum_are_refused() {
    let hour = Duration::from_hours(1);
    let refused = |schedule: &Schedule| match check(schedule, hour) {
        Ok(()) => false,
        Err(Error::Invalid(Invalid::ScheduleTooFrequent { min_interval_seconds: 3_600 }, _)) => true,
        Err(other) => panic!("{other:?}"),
    };
    assert!(!refused(&cron("0 * * * *", "UTC")));
    assert!(refused(&cron("*/59 * * * *", "UTC")));
    assert!(!refused(&interval(hour, None)));
    assert!(refused(&interval(hour.checked_sub(Duration::from_micros(1)).unwrap(), None)));
    // An hour apart, except for the night in March when 02:30 moves to 03:00 and is followed by 03:30.
    assert!(refused(&cron("30 2,3 * * *", "Europe/Berlin")));
    assert!(!refused(&cron("30 2,3 * * *", "Asia/Kolkata")));
    // A single occurrence has no distance to check.
    let mut once = cron("* * * * *", "UTC");
    once.end_time = Some(at("2026-01-01T00:01:30Z"));
    assert!(!refused(&once));
}

#[test]
fn a_schedule_that_never_fires_is_refused() {
    let never = |schedule: &Schedule| {
        matches!(check(schedule, Duration::ZERO), Err(Error::Invalid(Invalid::ScheduleNeverFires, _)))
    };
    assert!(never(&cron("0 0 30 2 *", "UTC")));
    assert!(!never(&cron("0 0 29 2 *", "UTC")));
    assert!(never(&cron("0 0 * 2 MON#5", "UTC")), "the next such February is in 2044");
    let mut ended = cron("0 6 * * *", "UTC");
    ended.end_time = Some(at("2026-01-01T06:00:00Z"));
    assert!(never(&ended));
    let mut late = cron("0 6 * * *", "UTC");
    late.start_time = Some(at("2031-01-01T00:00:00Z"));
    assert!(never(&late));
    late.start_time = Some(at("2030-12-31T00:00:00Z"));
    assert!(!never(&late));
    late.start_time = Some(DateTime::<Utc>::MAX_UTC);
    assert!(never(&late));
}

#[test]
fn jitter_is_shorter_than_the_shortest_distance() {
    let mut hourly = cron("0 * * * *", "UTC");
    hourly.jitter = Some(Duration::from_hours(1));
    assert_eq!(bad_fields(&hourly), ["jitter"]);
    hourly.jitter = Some(Duration::from_micros(3_599_999_999));
    check(&hourly, Duration::ZERO).unwrap();
}
