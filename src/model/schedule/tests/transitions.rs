//! All transitions of twelve zones from 2000 to 2037, compared with the slow reference.
//!
//! The zones have unusual transitions: by half an hour or a whole day, at midnight, around Ramadan.

use std::io::Write as _;
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::cron;
use super::reference::{Fields, Wall, offset, transitions};
use crate::model::schedule::{Evaluator, RepeatedTime, SkippedTime, Timing};

const ZONES: [&str; 12] = [
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Europe/Berlin",
    "America/New_York",
    "Europe/London",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "America/Havana",
    "Asia/Gaza",
    "Pacific/Chatham",
    "Antarctica/Troll",
];

/// Expressions, and the number of hours around a transition that are compared run by run.
const EXPRESSIONS: [(&str, i64); 8] = [
    ("*/15 * * * *", 4),
    ("5,35 1-3 * * *", 30),
    ("30 2 * * *", 30),
    ("0 0 * * *", 30),
    ("0 6 * * MON", 30),
    ("45 23,0 * * *", 30),
    ("10 */2 1-7,L * SUN", 30),
    ("*/7 0-4 * * SUNL", 30),
];

const POLICIES: [(SkippedTime, RepeatedTime); 4] = [
    (SkippedTime::RunAtNextValidTime, RepeatedTime::RunFirst),
    (SkippedTime::RunAtNextValidTime, RepeatedTime::RunBoth),
    (SkippedTime::Skip, RepeatedTime::RunFirst),
    (SkippedTime::Skip, RepeatedTime::RunBoth),
];

#[derive(Default)]
struct Tally {
    transitions: usize,
    comparisons: usize,
    mismatches: Vec<String>,
}

impl Tally {
    fn compare(&mut self, same: bool, what: impl FnOnce() -> String) {
        self.comparisons += 1;
        if !same {
            self.mismatches.push(what());
        }
    }

    fn add(&mut self, other: Self) {
        self.transitions += other.transitions;
        self.comparisons += other.comparisons;
        self.mismatches.extend(other.mismatches);
    }
}

#[test]
fn every_transition_of_twelve_zones_equals_the_slow_reference() {
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let workers: Vec<_> = ZONES.chunks(3).map(|zones| scope.spawn(move || check_zones(zones))).collect();
        for worker in workers {
            tally.add(worker.join().unwrap());
        }
    });
    // Written past the output capture of passing tests, so that the figure appears in the log of the test run.
    let (transitions, comparisons, mismatches) = (tally.transitions, tally.comparisons, tally.mismatches.len());
    let figure = format!("gate SCHEDULES: {transitions} transitions, {comparisons} comparisons, {mismatches} bad");
    writeln!(std::io::stderr(), "{figure}").unwrap();
    assert!(tally.transitions > 700, "{} transitions", tally.transitions);
    assert!(tally.comparisons > 500_000, "{} comparisons", tally.comparisons);
    assert!(tally.mismatches.is_empty(), "{:#?}", &tally.mismatches[..tally.mismatches.len().min(10)]);
}

fn check_zones(zones: &[&str]) -> Tally {
    let mut tally = Tally::default();
    for name in zones {
        let zone: Tz = name.parse().unwrap();
        let changes = transitions(zone, 2000, 2037);
        assert!(!changes.is_empty(), "{name} never changes");
        tally.transitions += changes.len();
        let subjects: Vec<_> = EXPRESSIONS.iter().map(|(text, hours)| subject(name, text, *hours)).collect();
        for change in changes {
            let reach = TimeDelta::hours(36);
            let wall = Wall::new(zone, change - reach, change + reach);
            for subject in &subjects {
                subject.check(zone, change, &wall, &mut tally);
            }
        }
    }
    tally
}

/// An expression in a zone: its slow reference, and the evaluators for each combination of policies.
struct Subject {
    name: String,
    hours: i64,
    fields: Fields,
    evaluators: Vec<(SkippedTime, RepeatedTime, Evaluator)>,
}

fn subject(zone: &str, expression: &str, hours: i64) -> Subject {
    let evaluators = POLICIES.map(|(skipped, repeated)| {
        let mut schedule = cron(expression, zone);
        if let Timing::Cron { skipped_time, repeated_time, .. } = &mut schedule.timing {
            (*skipped_time, *repeated_time) = (skipped, repeated);
        }
        (skipped, repeated, Evaluator::new(&schedule, DateTime::UNIX_EPOCH).unwrap())
    });
    let name = format!("{zone} {expression}");
    Subject { name, hours, fields: Fields::parse(expression), evaluators: evaluators.into() }
}

impl Subject {
    fn check(&self, zone: Tz, change: DateTime<Utc>, wall: &Wall, tally: &mut Tally) {
        let jump = (offset(zone, change) - offset(zone, change - TimeDelta::seconds(1))).abs();
        let hours = if jump > 2 * 3_600 { 30 } else { self.hours };
        let (from, to) = (change - TimeDelta::hours(hours), change + TimeDelta::hours(hours));
        let matching = wall.matching(&self.fields);
        for (skipped, repeated, evaluator) in &self.evaluators {
            let runs = wall.runs(&matching, *skipped, *repeated);
            let what = || format!("{} {skipped:?} {repeated:?} around {change}", self.name);

            // Run after run: the same instants in the same order, with the same shift and wall time.
            let mut expected = runs.range(from..).skip_while(|run| *run.0 == from).take_while(|run| *run.0 <= to);
            let mut found = evaluator.occurrences_after(from).take_while(|run| run.time <= to);
            loop {
                let (expected, found) = (expected.next(), found.next());
                let Some((time, shift)) = expected else {
                    tally.compare(found.is_none(), || format!("{}: found {found:?}, expected no more", what()));
                    break;
                };
                let local = time.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%:z").to_string();
                let same = found.as_ref().is_some_and(|found| {
                    found.time == *time && found.shift == *shift && found.local_time.to_rfc3339() == local
                });
                tally.compare(same, || format!("{}: found {found:?}, expected {time} {shift:?}", what()));
                if !same {
                    break;
                }
            }

            // Independent queries from many instants, including between minutes and just before and at the transition.
            let mut asked = change - TimeDelta::minutes(125);
            while asked <= change + TimeDelta::minutes(125) {
                for at in [asked, asked - TimeDelta::microseconds(1)] {
                    let expected = runs.range(at..).map(|run| *run.0).find(|run| *run > at && *run <= to);
                    let found = evaluator.next_after(at).map(|found| found.time).filter(|found| *found <= to);
                    tally.compare(found == expected, || {
                        format!("{}: after {at} found {found:?}, expected {expected:?}", what())
                    });
                }
                asked += TimeDelta::minutes(25);
            }
        }
    }
}
