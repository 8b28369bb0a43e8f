//! Rules of schedules, each with a minimal example.
//!
//! The comparisons with a slow reference are in `transitions` (of time zones) and `fields` (expressions).

mod fields;
mod fuzzed;
mod jitter;
mod reference;
mod transitions;

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZoneDatabase;

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
    with_policies(expression, time_zone, None, None)
}

fn cron_with(expression: &str, time_zone: &str, skipped_time: SkippedTime, repeated_time: RepeatedTime) -> Schedule {
    with_policies(expression, time_zone, Some(skipped_time), Some(repeated_time))
}

fn with_policies(
    expression: &str,
    time_zone: &str,
    skipped_time: Option<SkippedTime>,
    repeated_time: Option<RepeatedTime>,
) -> Schedule {
    let (expression, time_zone) = (expression.to_owned(), time_zone.to_owned());
    schedule(Timing::Cron { expression, time_zone, skipped_time, repeated_time })
}

fn interval(every: Duration, anchor: Option<DateTime<Utc>>) -> Schedule {
    schedule(Timing::Interval { every, anchor })
}

fn compiler() -> &'static ScheduleCompiler {
    static COMPILER: LazyLock<ScheduleCompiler> = LazyLock::new(|| ScheduleCompiler::new(TimeZones::bundled()));
    &COMPILER
}

fn compile(schedule: &Schedule, creation: DateTime<Utc>) -> Evaluator {
    compiler().compile(schedule, creation).unwrap()
}

const NOW: &str = "2026-01-01T00:00:00Z";

fn check(schedule: &Schedule, min_interval: Duration) -> Result<(), Error> {
    compiler().check(schedule, "export.schedule", min_interval, at(NOW), at(NOW))
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
    let preview = compile(schedule, at(NOW)).preview(at(after), count);
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
    let quarters = local_times(&cron("*/15 1-4 * * *", "Europe/Berlin"), "2026-03-29T00:30:00Z", 3);
    assert_eq!(quarters, ["2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"]);
    // Samoa skipped 30 December 2011: occurrences of that day move to the beginning of the 31st.
    let samoa = cron("0 12 * * *", "Pacific/Apia");
    let expected = ["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"];
    assert_eq!(local_times(&samoa, "2011-12-29T12:00:00Z", 3), expected);
}

#[test]
fn a_repeated_wall_time_runs_once_or_twice() {
    let after = "2026-10-25T00:15:00Z";
    let first = local_times(&cron("*/30 0-23 * * *", "Europe/Berlin"), after, 2);
    assert_eq!(first, ["2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"]);
    let both = cron_with("*/30 0-23 * * *", "Europe/Berlin", SkippedTime::RunAtNextValidTime, RepeatedTime::RunBoth);
    let preview = compile(&both, at(NOW)).preview(at(after), 4);
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

/// The wall times and shifts of the runs in a night in which the clocks of Berlin change.
fn night(schedule: &Schedule, day: &str) -> Vec<String> {
    let evaluator = compile(schedule, at(NOW));
    let runs = evaluator.occurrences_after(at(&format!("{day}T21:59:59Z")) - TimeDelta::days(1)).take(120);
    let runs = runs.filter(|run| run.local_time.to_rfc3339().starts_with(day));
    runs.map(|run| {
        format!("{}{}", run.local_time.format("%H:%M%:::z"), if run.shift == Shift::Moved { "!" } else { "" })
    })
    .collect()
}

#[test]
fn without_policies_the_hour_field_decides() {
    let runs = |expression: &str| {
        let schedule = cron(expression, "Europe/Berlin");
        [night(&schedule, "2026-03-29"), night(&schedule, "2026-10-25")]
    };
    // The table in the comment of `Schedule.Cron`.
    let [march, october] = runs("*/15 * * * *");
    assert_eq!((march.len(), october.len()), (23 * 4, 25 * 4));
    assert_eq!(march[4..9], ["01:00+01", "01:15+01", "01:30+01", "01:45+01", "03:00+02"]);
    assert_eq!(october[11..17], ["02:45+02", "02:00+01", "02:15+01", "02:30+01", "02:45+01", "03:00+01"]);
    let six_hours =
        [["00:00+01", "06:00+02", "12:00+02", "18:00+02"], ["00:00+02", "06:00+01", "12:00+01", "18:00+01"]];
    assert_eq!(runs("0 */6 * * *"), six_hours);
    assert_eq!(runs("0 0,6,12,18 * * *"), six_hours);
    assert_eq!(runs("*/15 2 * * *"), [vec!["03:00+02!"], vec!["02:00+02", "02:15+02", "02:30+02", "02:45+02"]]);
    let hours = [
        vec!["01:00+01", "03:00+02", "04:00+02", "05:00+02"],
        vec!["01:00+02", "02:00+02", "03:00+01", "04:00+01", "05:00+01"],
    ];
    assert_eq!(runs("0 1-5 * * *"), hours);
    // One policy given, the other not.
    let skip = with_policies("30 2 * * *", "Europe/Berlin", Some(SkippedTime::Skip), None);
    assert_eq!([night(&skip, "2026-03-29"), night(&skip, "2026-10-25")], [vec![], vec!["02:30+02"]]);
    let both = with_policies("30 2 * * *", "Europe/Berlin", None, Some(RepeatedTime::RunBoth));
    assert_eq!(
        [night(&both, "2026-03-29"), night(&both, "2026-10-25")],
        [vec!["03:00+02!"], vec!["02:30+02", "02:30+01"]]
    );
    let moved = with_policies("30 * * * *", "Europe/Berlin", Some(SkippedTime::RunAtNextValidTime), None);
    assert_eq!(night(&moved, "2026-03-29")[..4], ["00:30+01", "01:30+01", "03:00+02!", "03:30+02"]);
    let first = with_policies("30 * * * *", "Europe/Berlin", None, Some(RepeatedTime::RunFirst));
    assert_eq!(night(&first, "2026-10-25")[..4], ["00:30+02", "01:30+02", "02:30+02", "03:30+01"]);
}

#[test]
fn two_transitions_within_weeks_are_both_found() {
    // Morocco put its clocks back for Ramadan (20 July 2012) and forward again a month later.
    let both = cron_with("30 2 20 7,9 *", "Africa/Casablanca", SkippedTime::RunAtNextValidTime, RepeatedTime::RunBoth);
    let expected = ["2012-07-20T02:30:00+01:00", "2012-07-20T02:30:00+00:00", "2012-09-20T02:30:00+01:00"];
    assert_eq!(local_times(&both, "2012-07-01T00:00:00Z", 3), expected);
}

#[test]
fn transitions_are_found_years_ahead() {
    // Clocks change on 29 March and 25 October in 2026 and in 2037.
    let years = |expression: &str, after: &str, skipped: SkippedTime, repeated: RepeatedTime| {
        local_times(&cron_with(expression, "Europe/Berlin", skipped, repeated), after, 12)
    };
    let moved = years("30 2 29 3 *", "2026-03-29T12:00:00Z", SkippedTime::RunAtNextValidTime, RepeatedTime::RunFirst);
    assert_eq!(moved[9..], ["2036-03-29T02:30:00+01:00", "2037-03-29T03:00:00+02:00", "2038-03-29T02:30:00+02:00"]);
    let skipped = years("30 2 29 3 *", "2026-03-28T12:00:00Z", SkippedTime::Skip, RepeatedTime::RunFirst);
    assert_eq!(skipped[..2], ["2027-03-29T02:30:00+02:00", "2028-03-29T02:30:00+02:00"]);
    assert_eq!(skipped[9..11], ["2036-03-29T02:30:00+01:00", "2038-03-29T02:30:00+02:00"]);
    let both = years("30 2 25 10 *", "2026-10-25T12:00:00Z", SkippedTime::Skip, RepeatedTime::RunBoth);
    assert_eq!(both[10..], ["2037-10-25T02:30:00+02:00", "2037-10-25T02:30:00+01:00"]);
    // The fifth Sunday of a February is rarer than any other day.
    let rare = local_times(&cron("0 6 * 2 SUN#5", "America/New_York"), "2026-01-01T00:00:00Z", 4);
    let expected = ["2032-02-29", "2060-02-29", "2088-02-29", "2128-02-29"];
    assert_eq!(rare, expected.map(|day| format!("{day}T06:00:00-05:00")));
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
    let hourly = compile(&interval(Duration::from_hours(1), Some(anchor)), at(NOW));
    let next = |after: &str| hourly.next_after(at(after)).unwrap().time;
    assert_eq!(next("2026-01-01T00:00:00.25Z"), at("2026-01-01T01:00:00.25Z"));
    assert_eq!(next("2026-01-01T00:00:00.249999Z"), anchor);
    assert_eq!(next("2025-12-31T22:59:59Z"), at("2025-12-31T23:00:00.25Z"));
    let by_creation = compile(&interval(Duration::from_mins(1), None), at("2026-01-01T00:00:07Z"));
    assert_eq!(by_creation.next_after(at("2026-03-29T01:00:00Z")).unwrap().time, at("2026-03-29T01:00:07Z"));
    assert_eq!(by_creation.preview(at(NOW), 500).len(), limits::MAX_PREVIEW_OCCURRENCES as usize);
}

#[test]
fn extreme_times_do_not_overflow() {
    for anchor in [None, Some(DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MAX_UTC)] {
        let timings = [interval(MIN_EVERY, anchor), interval(MAX_EVERY, anchor), cron("0 6 * * *", "Pacific/Apia")];
        for schedule in timings {
            let evaluator = compile(&schedule, at(NOW));
            for after in [at("0001-01-01T00:00:00Z"), at("9999-12-31T23:59:59Z")] {
                assert!(evaluator.next_after(after).is_none_or(|next| next.time > after));
            }
            assert_eq!(evaluator.next_after(DateTime::<Utc>::MAX_UTC), None);
        }
    }
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
    // An hour apart on the wall clock; in the night in March when 02:30 moves to 03:00, 03:30 follows half an hour later.
    assert!(!refused(&cron("30 2,3 * * *", "Europe/Berlin")));
    assert!(!refused(&cron("10 * * * *", "Europe/Berlin")));
    // Half an hour apart across midnight, once a month, or never.
    assert!(refused(&cron("0,30 0,23 * * *", "UTC")));
    assert!(refused(&cron("0,45 0 1 * *", "UTC")));
    assert!(!refused(&cron("0 0 29 2 *", "UTC")));
}

#[test]
fn the_shortest_distance_is_that_of_the_sets() {
    let minutes =
        |expression: &str| compile(&cron(expression, "UTC"), at(NOW)).shortest_distance().map(|d| d.as_secs() / 60);
    let expected = [
        ("* * * * *", Some(1)),
        ("*/59 * * * *", Some(1)),
        ("10 * * * *", Some(60)),
        ("0 */5 * * *", Some(240)),
        ("0 23,0 * * *", Some(60)),
        ("0 23,0 * * MON", Some(23 * 60)),
        ("0 23,0 L,1 * *", Some(60)),
        ("30 0 L,1 * *", Some(1_440)),
        ("0 6 * * MON", Some(7 * 1_440)),
        ("0 6 * * MON,THU", Some(3 * 1_440)),
        ("0 6 31 * *", Some(31 * 1_440)),
        ("0 6 31 1,3 *", Some(59 * 1_440)),
        ("0 6 29 2 *", Some(1_461 * 1_440)),
        ("0 6 * 2 SUN#5", Some(10_227 * 1_440)),
        ("0 6 1 1 MON#1", Some(1_440)),
        ("0 6 13 * FRI", Some(1_440)),
        ("0 0 31 2,4,6,9,11 *", None),
    ];
    for (expression, distance) in expected {
        assert_eq!(minutes(expression), distance, "{expression}");
    }
}

#[test]
fn a_zone_that_the_time_zone_data_lacks_is_refused() {
    let without_zones = ScheduleCompiler::new(TimeZones::new(&TimeZoneDatabase::none(), "none".to_owned()));
    let daily = cron("0 6 * * *", "Europe/Berlin");
    let refused = |result: Result<(), Error>| match result {
        Err(Error::Invalid(Invalid::Field, violations)) => violations.iter().map(|found| found.field.clone()).collect(),
        other => panic!("{other:?}"),
    };
    let saved: Vec<String> = refused(without_zones.check(&daily, "schedule", Duration::ZERO, at(NOW), at(NOW)));
    let enabled: Vec<String> = refused(without_zones.check_fires(&daily, "enabled", at(NOW), at(NOW)));
    assert_eq!((saved, enabled), (vec!["schedule.cron.time_zone".to_owned()], vec!["enabled".to_owned()]));
    for name in ["Factory", "localtime", "posixrules", "europe/berlin", "Etc/Unknown"] {
        assert_eq!(bad_fields(&cron("0 6 * * *", name)), ["cron.time_zone"], "{name}");
    }
}

#[test]
fn zones_that_the_time_zone_data_lacks_are_added_from_other_data() {
    let mut zones = TimeZones::new(&TimeZoneDatabase::none(), "none".to_owned());
    let added = zones.add_bundled();
    assert!(added > 400 && zones.add_bundled() == 0, "{added}");
    assert_eq!(zones.release(), "none");
    let checked = ScheduleCompiler::new(zones).check(
        &cron("0 6 * * *", "US/Pacific"),
        "schedule",
        Duration::ZERO,
        at(NOW),
        at(NOW),
    );
    assert!(checked.is_ok(), "{checked:?}");
}

#[test]
fn a_schedule_that_never_fires_is_refused() {
    let never = |schedule: &Schedule| {
        matches!(check(schedule, Duration::ZERO), Err(Error::Invalid(Invalid::ScheduleNeverFires, _)))
    };
    assert!(never(&cron("0 0 30 2 *", "UTC")));
    assert!(!never(&cron("0 0 29 2 *", "UTC")));
    assert!(never(&cron("0 0 31 2,4,6,9,11 *", "UTC")));
    assert!(never(&cron("0 0 * 2 MON#5", "UTC")), "the next such February is in 2044");
    let in_the_gap = |skipped| cron_with("30 2 * 3 SUNL", "Europe/Berlin", skipped, RepeatedTime::RunFirst);
    assert!(never(&in_the_gap(SkippedTime::Skip)), "clocks change in every such night");
    assert!(!never(&in_the_gap(SkippedTime::RunAtNextValidTime)));
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
