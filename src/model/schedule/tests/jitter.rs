//! Jitter: the delay of a run after its nominal time.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{NOW, at, bad_fields, check, compile, cron};

#[test]
fn jitter_is_deterministic_and_within_its_window() {
    let mut daily = cron("0 6 * * *", "UTC");
    daily.jitter = Some(Duration::from_mins(10));
    let evaluator = compile(&daily, at(NOW));
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
    let run = compile(&daily, at(NOW)).next_run_time(Uuid::nil(), at(NOW)).unwrap();
    assert_eq!(run.next_run_time, run.schedule_time);
}

#[test]
fn a_run_delayed_by_jitter_is_not_skipped() {
    let mut daily = cron("0 6 * * *", "UTC");
    daily.jitter = Some(Duration::from_mins(10));
    let (evaluator, uid) = (compile(&daily, at(NOW)), Uuid::from_u128(1));
    let due = |now: &str| evaluator.next_run_due(uid, at(now)).unwrap();
    let first = due(NOW);
    assert_eq!(first.next_run_time, at("2026-01-01T06:03:05.108309Z"));
    // The nominal time of this run has passed, but it is not due yet.
    assert_eq!(due("2026-01-01T06:01:00Z"), first);
    // Once due, it is not returned again.
    let second = due("2026-01-01T06:03:06Z");
    assert_eq!(second.schedule_time, at("2026-01-02T06:00:00Z"));
}

#[test]
fn no_run_is_lost_if_jitter_exceeds_the_distance_while_clocks_change() {
    // 02:30 moves to 03:00, and 03:30 follows half an hour later.
    let mut schedule = cron("30 2,3 * * *", "Europe/Berlin");
    schedule.jitter = Some(Duration::from_mins(59));
    check(&schedule, Duration::from_hours(1)).unwrap();
    let evaluator = compile(&schedule, at(NOW));
    let (start, end) = (at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"));
    let mut reordered = 0;
    for uid in (0..100).map(Uuid::from_u128) {
        let mut expected = Vec::new();
        let mut nominal = start;
        while let Some(run) = evaluator.next_run_time(uid, nominal).filter(|run| run.schedule_time < end) {
            expected.push(run);
            nominal = run.schedule_time;
        }
        assert_eq!(expected.len(), 2, "{uid}");
        reordered += usize::from(expected[0].next_run_time > expected[1].next_run_time);
        expected.sort_by_key(|run| run.next_run_time);
        let first = evaluator.next_run_due(uid, start).unwrap();
        assert_eq!([first, evaluator.next_run_due(uid, first.next_run_time).unwrap()], expected[..], "{uid}");
    }
    assert!(reordered > 0);
}

#[test]
fn jitter_is_shorter_than_the_shortest_distance() {
    let mut hourly = cron("0 * * * *", "UTC");
    hourly.jitter = Some(Duration::from_hours(1));
    assert_eq!(bad_fields(&hourly), ["jitter"]);
    hourly.jitter = Some(Duration::from_micros(3_599_999_999));
    check(&hourly, Duration::ZERO).unwrap();
}
