//! All transitions of all zones from 2020 to 2040, compared with the slow reference.
//!
//! Zones with the same transitions are compared once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::thread;

use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZone;

use super::reference::{Fields, Wall, offset, transitions};
use super::{compiler, with_policies};
use crate::model::schedule::{Evaluator, RepeatedTime, SkippedTime};

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

const POLICIES: [(Option<SkippedTime>, Option<RepeatedTime>); 5] = [
    (Some(SkippedTime::RunAtNextValidTime), Some(RepeatedTime::RunFirst)),
    (Some(SkippedTime::RunAtNextValidTime), Some(RepeatedTime::RunBoth)),
    (Some(SkippedTime::Skip), Some(RepeatedTime::RunFirst)),
    (Some(SkippedTime::Skip), Some(RepeatedTime::RunBoth)),
    (None, None),
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

/// An instant, the offset before it, and the offset from it on.
type Change = (DateTime<Utc>, i32, i32);

#[test]
fn every_transition_of_every_zone_equals_the_slow_reference() {
    let mut zones: BTreeMap<Vec<Change>, Vec<(String, TimeZone)>> = BTreeMap::new();
    for (name, zone) in compiler().time_zones().all() {
        let change = |at| (at, offset(&zone, at - TimeDelta::seconds(1)), offset(&zone, at));
        let changes: Vec<_> = transitions(&zone, 2020, 2040).into_iter().map(change).collect();
        if !changes.is_empty() {
            zones.entry(changes).or_default().push((name, zone));
        }
    }
    let names: usize = zones.values().map(Vec::len).sum();
    let changes: usize = zones.iter().map(|(changes, names)| changes.len() * names.len()).sum();
    let different: Vec<_> = zones.into_iter().map(|(changes, names)| (changes, names[0].clone())).collect();
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let share = different.len().div_ceil(4);
        let workers: Vec<_> = different.chunks(share).map(|zones| scope.spawn(move || check_zones(zones))).collect();
        for worker in workers {
            tally.add(worker.join().unwrap());
        }
    });
    // Written past the output capture of passing tests, so that the figure appears in the log of the test run.
    let (transitions, comparisons, mismatches) = (tally.transitions, tally.comparisons, tally.mismatches.len());
    let figure = format!(
        "gate SCHEDULES: {changes} transitions of {names} zones, {transitions} of them different, {comparisons} comparisons, {mismatches} bad"
    );
    writeln!(std::io::stderr(), "{figure}").unwrap();
    assert!(names > 200, "{names} zones");
    assert!(tally.transitions > 1_000, "{} transitions", tally.transitions);
    assert!(tally.mismatches.is_empty(), "{:#?}", &tally.mismatches[..tally.mismatches.len().min(10)]);
}

fn check_zones(zones: &[(Vec<Change>, (String, TimeZone))]) -> Tally {
    let mut tally = Tally::default();
    for (changes, (name, zone)) in zones {
        tally.transitions += changes.len();
        let subjects: Vec<_> = EXPRESSIONS.iter().map(|(text, hours)| subject(name, text, *hours)).collect();
        for (change, ..) in changes {
            let reach = TimeDelta::hours(36);
            let wall = Wall::new(zone, *change - reach, *change + reach);
            for subject in &subjects {
                subject.check(zone, *change, &wall, &mut tally);
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
    let hour_field = expression.split(' ').nth(1).unwrap();
    let (default_skipped, default_repeated) = if hour_field.contains('*') {
        (SkippedTime::Skip, RepeatedTime::RunBoth)
    } else {
        (SkippedTime::RunAtNextValidTime, RepeatedTime::RunFirst)
    };
    let evaluators = POLICIES.map(|(skipped, repeated)| {
        let schedule = with_policies(expression, zone, skipped, repeated);
        let evaluator = compiler().compile(&schedule, DateTime::UNIX_EPOCH).unwrap();
        (skipped.unwrap_or(default_skipped), repeated.unwrap_or(default_repeated), evaluator)
    });
    let name = format!("{zone} {expression}");
    Subject { name, hours, fields: Fields::parse(expression), evaluators: evaluators.into() }
}

impl Subject {
    fn check(&self, zone: &TimeZone, change: DateTime<Utc>, wall: &Wall, tally: &mut Tally) {
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
                let local = time.naive_utc() + TimeDelta::seconds(i64::from(offset(zone, *time)));
                let same = found.as_ref().is_some_and(|found| {
                    found.time == *time && found.shift == *shift && found.local_time.naive_local() == local
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
