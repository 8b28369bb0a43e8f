//! Expressions: random ones compared with the slow reference, and refused ones.
//!
//! Only the documented grammar is accepted.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use croner::parser::{CronParser, Seconds, Year};

use super::reference::Fields;
use super::{bad_fields, cron};
use crate::model::schedule::MAX_EXPRESSION_CHARS;
use crate::model::schedule::expression::parse;

const MONTHS: [&str; 12] = ["JAN", "feb", "Mar", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["sun", "Mon", "TUE", "WED", "THU", "FRI", "SAT"];

/// Marsaglia's xorshift: deterministic on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    fn value(&mut self, min: usize, max: usize, names: &[&str]) -> String {
        let value = min + self.below(max - min + 1);
        match names.get(value - min) {
            Some(name) if self.below(2) == 0 => (*name).to_owned(),
            _ => value.to_string(),
        }
    }

    fn range(&mut self, min: usize, max: usize, names: &[&str]) -> String {
        let from = min + self.below(max - min);
        let to = from + self.below(max - from + 1);
        match (names.get(from - min), names.get(to - min)) {
            (Some(from), Some(to)) if self.below(2) == 0 => format!("{from}-{to}"),
            _ => format!("{from}-{to}"),
        }
    }

    fn item(&mut self, min: usize, max: usize, names: &[&str]) -> String {
        match self.below(5) {
            0 | 1 => self.value(min, max, names),
            2 => self.range(min, max, names),
            3 => format!("{}/{}", self.range(min, max, names), 1 + self.below(max)),
            _ => format!("*/{}", 1 + self.below(max)),
        }
    }

    fn list(&mut self, min: usize, max: usize, names: &[&str]) -> String {
        let items: Vec<String> = (0..=self.below(3)).map(|_| self.item(min, max, names)).collect();
        items.join(",")
    }

    fn field(&mut self, min: usize, max: usize, names: &[&str]) -> String {
        if self.below(3) == 0 { "*".to_owned() } else { self.list(min, max, names) }
    }

    fn expression(&mut self) -> String {
        let (minute, hour) = (self.field(0, 59, &[]), self.field(0, 23, &[]));
        let day = match self.below(4) {
            0 => "L".to_owned(),
            1 => format!("{},L", self.list(1, 31, &[])),
            _ => self.field(1, 31, &[]),
        };
        let month = self.field(1, 12, &MONTHS);
        let weekday = match self.below(5) {
            0 => format!("{}#{}", self.value(0, 7, &WEEKDAYS), 1 + self.below(5)),
            1 => format!("{}L", self.value(0, 7, &WEEKDAYS)),
            2 => format!("{},{}L,{}#1", self.list(0, 7, &WEEKDAYS), self.below(8), self.below(8)),
            _ => self.field(0, 7, &WEEKDAYS),
        };
        format!("{minute} {hour} {day} {month} {weekday}")
    }
}

#[test]
fn random_expressions_equal_the_slow_reference() {
    let mut random = Random(0x5EED_C0FF_EE20_2600);
    let mut comparisons = 0;
    for _ in 0..1_500 {
        let expression = random.expression();
        let fields = Fields::parse(&expression.to_ascii_uppercase());
        let cron = parse(&expression).unwrap_or_else(|problems| panic!("{expression}: {problems:?}"));
        let year = 2000 + i32::try_from(random.below(38)).unwrap();
        let start =
            NaiveDate::from_yo_opt(year, 1).unwrap() + TimeDelta::days(i64::try_from(random.below(365)).unwrap());

        // A matching time on every day of three years.
        let time = minutes_of(start).find(|wall| fields.matches_time(*wall)).unwrap().time();
        for date in start.iter_days().take(3 * 365) {
            let wall = date.and_time(time);
            assert_eq!(cron.matches(wall), fields.matches(wall), "{expression} at {wall}");
            comparisons += 1;
        }

        // Run after run, up to 40 runs within two years.
        let slow = start.iter_days().take(730).filter(|date| fields.matches_day(*date)).flat_map(minutes_of);
        let mut from = start.and_time(chrono::NaiveTime::MIN) - TimeDelta::minutes(1);
        for expected in slow.filter(|wall| fields.matches(*wall)).take(40) {
            let found = cron.next(from, false);
            assert_eq!(found, Some(expected), "{expression} after {from}");
            from = expected;
            comparisons += 1;
        }
    }
    eprintln!("cron fields: {comparisons} comparisons, 0 mismatches");
    assert!(comparisons > 1_500_000, "{comparisons}");
}

fn minutes_of(date: NaiveDate) -> impl Iterator<Item = NaiveDateTime> {
    (0..1_440).map(move |minute| date.and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(minute))
}

#[test]
fn other_dialects_are_refused() {
    let long = format!("{} * * * *", ["0"; 128].join(","));
    assert!(long.len() > MAX_EXPRESSION_CHARS);
    let refused = [
        "",
        " ",
        "@daily",
        "@reboot",
        "* * * *",
        "0 * * * * *",
        "0 0 0 1 1 * 2026",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "? * * * *",
        "0 0 ? * MON",
        "0 0 15W * *",
        "0 0 LW * *",
        "0 0 L-3 * *",
        "0 0 * * +MON",
        "0 0 * * L",
        "0 0 * * MON#6",
        "0 0 * * MON#0",
        "0 0 * * MON#L",
        "0 0 * * 1-5#2",
        "*/0 * * * *",
        "*/60 * * * *",
        "5/15 * * * *",
        "/15 * * * *",
        "30-10 * * * *",
        "0 0 * * SAT-MON",
        "0 0 * * 1MON",
        "MON * * * *",
        "0 0 * FRI *",
        "0 0 * * JAN",
        "1,,2 * * * *",
        "1, * * * *",
        "*,5 * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "1.5 * * * *",
        "001 * * * *",
        "1--2 * * * *",
        "1-2-3 * * * *",
        "1/2/3 * * * *",
        "0 0 * * MONDAY",
        "L * * * *",
        "0 L * * *",
        "0 0 * L *",
        "0 0 5L * *",
        "0\n0 * * *",
        "٣ * * * *",
        &long,
    ];
    for expression in refused {
        assert_eq!(bad_fields(&cron(expression, "UTC")), ["cron.expression"], "{expression:?}");
    }
}

#[test]
fn sunday_is_0_and_7_and_may_end_a_range() {
    let monday = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap();
    let days = |expression: &str| -> Vec<i64> {
        let cron = parse(expression).unwrap();
        (0..7).filter(|day| cron.matches((monday + TimeDelta::days(*day)).and_time(chrono::NaiveTime::MIN))).collect()
    };
    for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * SUN-SUN", "0 0 * * 0,7"] {
        assert_eq!(days(sunday), [6], "{sunday}");
    }
    assert_eq!(days("0 0 * * FRI-SUN"), [4, 5, 6]);
    assert_eq!(days("0 0 * * SUN-TUE"), [0, 1, 6]);
    assert_eq!(days("0 0 * * 5-7/2"), [4, 6]);
}

#[test]
fn random_expressions_equal_another_implementation() {
    let mut random = Random(0xC0FF_EE5E_ED20_2601);
    let (mut expressions, mut comparisons) = (0, 0);
    while expressions < 10_000 {
        let expression = random.expression().to_ascii_uppercase();
        if expression.contains("SUN-SUN") {
            continue; // see below
        }
        let cron = parse(&expression).unwrap_or_else(|problems| panic!("{expression}: {problems:?}"));
        let other = croner(&expression);
        let day = TimeDelta::days(i64::try_from(random.below(38 * 365)).unwrap());
        let mut from = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap().and_time(chrono::NaiveTime::MIN) + day;
        for _ in 0..10 {
            let found = cron.next(from, false);
            let within_40_years = |next: &NaiveDateTime| *next < from + TimeDelta::days(40 * 365);
            let expected = other.find_next_occurrence(&from, false).ok().filter(within_40_years);
            assert_eq!(found, expected, "{expression} after {from}");
            comparisons += 1;
            let Some(next) = found else { break };
            from = next;
        }
        expressions += 1;
    }
    eprintln!("cron expressions: {expressions} compared with croner, {comparisons} comparisons, 0 mismatches");
}

fn croner(expression: &str) -> croner::Cron {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).unwrap_or_else(|problem| panic!("{expression}: {problem}"))
}

/// The only difference from croner, which matches every day of the week here.
#[test]
fn a_range_from_sunday_to_sunday_is_one_day() {
    let saturday = NaiveDate::from_ymd_opt(2026, 1, 3).unwrap().and_time(chrono::NaiveTime::MIN);
    let sunday = saturday + TimeDelta::days(1);
    assert_eq!(parse("0 0 * * SUN-SUN").unwrap().next(sunday, false), Some(sunday + TimeDelta::days(7)));
    assert_eq!(croner("0 0 * * SUN-SUN").find_next_occurrence(&sunday, false).unwrap(), sunday + TimeDelta::days(1));
}
