//! Arbitrary and mutated cron expressions and time zones.

use super::*;
use crate::fuzzing;
use crate::model::is_unsafe;

/// Expressions that are not only parsed but evaluated, which takes longer.
const CASES: u32 = 1_500;
const EXPRESSIONS: [&str; 12] = [
    "0 6 * * *",
    "*/15 9-17 * * MON-FRI",
    "0 0 L * *",
    "30 2 * * 5L",
    "0 0 * * MON#2",
    "0 0 29 2 *",
    "0 0 30 2 *",
    "59 23 31 12 SUN",
    "0-59/7 0,12 1-7 JAN-MAR *",
    "* * * * *",
    "0 0 1 1 1",
    "5 4 L 2 SUN#5",
];

#[test]
fn any_cron_expression_is_evaluated_or_refused() {
    let now = at("2026-03-29T00:30:00Z");
    fuzzing::check("cron expressions", CASES, &fuzzing::text(&EXPRESSIONS), |expression| {
        let zones = ["UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe"];
        let schedule = cron(&expression, zones[expression.len() % zones.len()]);
        match compiler().check(&schedule, "schedule", Duration::from_secs(1), now, now) {
            Ok(()) => {
                let evaluator = compiler().compile(&schedule, now).unwrap();
                let times: Vec<_> = evaluator.occurrences_after(now).take(5).map(|found| found.time).collect();
                assert!(!times.is_empty() && times.is_sorted_by(|one, other| one < other), "{expression:?}: {times:?}");
            }
            Err(Error::Invalid(_, violations)) => {
                for found in violations.iter() {
                    assert!(!found.description.contains(is_unsafe), "{expression:?}: {found:?}");
                }
            }
            Err(error) => panic!("{expression:?}: {error}"),
        }
    });
}

#[test]
fn any_time_zone_is_known_or_refused() {
    let zones = ["UTC", "Europe/Zurich", "america/new_york", "Etc/GMT+5", "posixrules", "CET-1CEST,M3.5.0,M10.5.0/3"];
    let now = at("2026-03-29T00:30:00Z");
    fuzzing::check("time zones", 1_500, &fuzzing::text(&zones), |zone| {
        match compiler().check(&cron("0 6 * * *", &zone), "schedule", Duration::from_secs(1), now, now) {
            Ok(()) => assert!(compiler().time_zones().get(&zone).is_some()),
            Err(error) => assert!(matches!(error, Error::Invalid(..)), "{zone:?}: {error}"),
        }
    });
}

#[test]
fn any_interval_is_evaluated_or_refused() {
    use proptest::prelude::*;
    let second = 0..400 * 86_400_u64;
    let time = -62_135_596_800..253_402_300_800_i64;
    let input = (second.clone(), any::<u32>(), proptest::option::of(time.clone()), time.clone(), second, 0..2_000_u32);
    fuzzing::check("intervals", 5_000, &input, |(every, nanos, anchor, now, jitter, failures)| {
        // Times arrive in whole microseconds, durations do not.
        let moment = |seconds| DateTime::from_timestamp(seconds, nanos % 1_000_000 * 1_000).unwrap();
        let every = Duration::new(every, nanos % 1_000_000_000);
        let mut schedule = interval(every, anchor.map(moment));
        schedule.jitter = Some(Duration::from_secs(jitter)).filter(|_| jitter % 2 == 0);
        schedule.pause_after_failures = Some(failures).filter(|_| failures % 2 == 0);
        schedule.end_time = Some(moment(now)).filter(|_| jitter % 3 == 0);
        let now = moment(now);
        if compiler().check(&schedule, "schedule", Duration::from_secs(1), now, now).is_ok() {
            let next = compiler().compile(&schedule, now).unwrap().next_after(now);
            assert!(next.is_none_or(|next| next.time > now), "{schedule:?}: {next:?}");
            assert!(serde_json::to_string(&schedule).is_ok(), "{schedule:?} cannot be stored");
        }
    });
}
