//! A slow evaluation of schedules, independent of the product's.
//!
//! It checks every minute and searches for nothing, so it is simple enough to be trusted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone as _, Timelike, Utc};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::schedule::{RepeatedTime, Shift, SkippedTime};

/// The fields of an expression as tables of the values that match.
pub(super) struct Fields {
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    days: BTreeSet<u32>,
    last_day: bool,
    months: BTreeSet<u32>,
    weekdays: BTreeSet<u32>,
    nth_weekdays: BTreeSet<(u32, u32)>,
    last_weekdays: BTreeSet<u32>,
    any_day: bool,
    any_weekday: bool,
}

impl Fields {
    pub(super) fn parse(expression: &str) -> Self {
        let texts: Vec<&str> = expression.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = texts[..] else { panic!("five fields") };
        let mut fields = Self {
            minutes: values(minute, 0, 59),
            hours: values(hour, 0, 23),
            days: BTreeSet::new(),
            last_day: false,
            months: values(month, 1, 12),
            weekdays: BTreeSet::new(),
            nth_weekdays: BTreeSet::new(),
            last_weekdays: BTreeSet::new(),
            any_day: day == "*",
            any_weekday: weekday == "*",
        };
        for item in day.split(',') {
            match item {
                "L" => fields.last_day = true,
                item => fields.days.extend(values(item, 1, 31)),
            }
        }
        for item in weekday.split(',') {
            if let Some((weekday, nth)) = item.split_once('#') {
                fields.nth_weekdays.insert((value(weekday) % 7, nth.parse().unwrap()));
            } else if let Some(weekday) = item.strip_suffix('L') {
                fields.last_weekdays.insert(value(weekday) % 7);
            } else {
                // A range that ends on a Sunday by name ends on 7, unless it also begins on a Sunday.
                let item = item.replace("SUN-SUN", "0-0").replace("-SUN", "-7");
                fields.weekdays.extend(values(&item, 0, 7).into_iter().map(|weekday| weekday % 7));
            }
        }
        fields
    }

    pub(super) fn matches(&self, wall: NaiveDateTime) -> bool {
        self.matches_time(wall) && self.matches_day(wall.date())
    }

    pub(super) fn matches_time(&self, wall: NaiveDateTime) -> bool {
        self.minutes.contains(&wall.minute()) && self.hours.contains(&wall.hour())
    }

    pub(super) fn matches_day(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_sunday();
        let in_a_week = date + TimeDelta::days(7);
        let nth = (1..=5).filter(|weeks| date.day() > 7 * (weeks - 1)).count();
        let by_day =
            self.days.contains(&date.day()) || self.last_day && (date + TimeDelta::days(1)).month() != date.month();
        let by_weekday = self.weekdays.contains(&weekday)
            || self.nth_weekdays.contains(&(weekday, u32::try_from(nth).unwrap()))
            || self.last_weekdays.contains(&weekday) && in_a_week.month() != date.month();
        let day = match (self.any_day, self.any_weekday) {
            (true, true) => true,
            (true, false) => by_weekday,
            (false, true) => by_day,
            (false, false) => by_day || by_weekday,
        };
        day && self.months.contains(&date.month())
    }
}

fn values(list: &str, min: u32, max: u32) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    for item in list.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = match (range, range.split_once('-')) {
            ("*", _) => (min, max),
            (_, Some((from, to))) => (value(from), value(to)),
            (single, None) => (value(single), value(single)),
        };
        let step: u32 = step.parse().unwrap();
        all.extend((from..=to).filter(|value| (value - from) % step == 0));
    }
    all
}

fn value(text: &str) -> u32 {
    let known = "SUN0 MON1 TUE2 WED3 THU4 FRI5 SAT6 JAN1 FEB2 MAR3 APR4 MAY5 JUN6 JUL7 AUG8 SEP9 OCT10 NOV11 DEC12";
    let named = known.split(' ').find_map(|entry| entry.strip_prefix(&text.to_ascii_uppercase()));
    named.filter(|rest| !rest.is_empty() && text.len() == 3).unwrap_or(text).parse().unwrap()
}

pub(super) fn offset(zone: &TimeZone, instant: DateTime<Utc>) -> i32 {
    zone.to_offset(Timestamp::from_second(instant.timestamp()).unwrap()).seconds()
}

/// Every minute of a period in the wall time of a zone.
pub(super) struct Wall {
    instants: BTreeMap<NaiveDateTime, Vec<DateTime<Utc>>>,
    minutes: Vec<(NaiveDateTime, DateTime<Utc>)>,
}

impl Wall {
    pub(super) fn new(zone: &TimeZone, from: DateTime<Utc>, to: DateTime<Utc>) -> Self {
        let mut wall = Self { instants: BTreeMap::new(), minutes: Vec::new() };
        let mut instant = from;
        while instant < to {
            let local = instant.naive_utc() + TimeDelta::seconds(i64::from(offset(zone, instant)));
            wall.instants.entry(local).or_default().push(instant);
            wall.minutes.push((local, instant));
            instant += TimeDelta::minutes(1);
        }
        wall
    }

    /// Every wall time that matches an expression, including skipped ones.
    pub(super) fn matching(&self, fields: &Fields) -> Vec<NaiveDateTime> {
        let (mut local, last) = (self.minutes[0].0, self.minutes[self.minutes.len() - 1].0);
        let mut all = Vec::new();
        while local <= last {
            if fields.matches(local) {
                all.push(local);
            }
            local += TimeDelta::minutes(1);
        }
        all
    }

    /// Every instant at which a matching wall time runs, with its shift.
    pub(super) fn runs(
        &self,
        matching: &[NaiveDateTime],
        skipped: SkippedTime,
        repeated: RepeatedTime,
    ) -> BTreeMap<DateTime<Utc>, Shift> {
        let mut runs = BTreeMap::new();
        for local in matching {
            match (self.instants.get(local).map(Vec::as_slice), skipped, repeated) {
                (None, SkippedTime::Skip, _) => {}
                (None, SkippedTime::RunAtNextValidTime, _) => {
                    let after_the_gap = self.minutes.iter().find(|(wall, _)| wall > local).unwrap().1;
                    runs.entry(after_the_gap).or_insert(Shift::Moved);
                }
                (Some([only]), _, _) => drop(runs.insert(*only, Shift::None)),
                (Some([first, _]), _, RepeatedTime::RunFirst) => drop(runs.insert(*first, Shift::RepeatedFirst)),
                (Some([first, second]), _, RepeatedTime::RunBoth) => {
                    runs.insert(*first, Shift::RepeatedFirst);
                    runs.insert(*second, Shift::RepeatedSecond);
                }
                (Some(_), _, _) => panic!("a wall time occurs once or twice"),
            }
        }
        runs
    }
}

/// Every transition of a zone between two years, searched by half days and then by minutes.
pub(super) fn transitions(zone: &TimeZone, from_year: i32, to_year: i32) -> Vec<DateTime<Utc>> {
    let mut all = Vec::new();
    let mut instant = Utc.with_ymd_and_hms(from_year, 1, 1, 0, 0, 0).unwrap();
    let end = Utc.with_ymd_and_hms(to_year + 1, 1, 1, 0, 0, 0).unwrap();
    let mut before = offset(zone, instant);
    while instant < end {
        let next = instant + TimeDelta::hours(12);
        let after = offset(zone, next);
        if before != after {
            let minutes = (1..=720).map(|minutes| instant + TimeDelta::minutes(minutes));
            all.extend(minutes.into_iter().find(|minute| offset(zone, *minute) != before));
        }
        (instant, before) = (next, after);
    }
    all
}
