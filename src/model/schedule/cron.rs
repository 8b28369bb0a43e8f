//! Cron expressions: which wall times match.
//!
//! An expression is kept as sets of bits, so that a search steps over months and not over minutes.

use std::sync::OnceLock;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

/// How far a search looks ahead. No two matching days are further apart: the fifth Sunday of a February, the rarest of
/// all days, comes every 28 years, or after 40 years across a year such as 2100.
const SEARCH_YEARS: i32 = 41;

/// Two rounds of the calendar, which repeats after 28 years as long as every fourth year is a leap year. Days that match
/// in each round are at most 28 years apart.
const CALENDAR_CYCLE: std::ops::Range<i32> = 2000..2057;

/// The days of a month that match by their number.
#[derive(Clone, Copy, Debug)]
pub(super) struct DaysOfMonth {
    /// Bit n: day n.
    pub days: u64,
    /// The last day of the month.
    pub last: bool,
}

/// The days of a month that match by their weekday; 0 is Sunday.
#[derive(Clone, Debug, Default)]
pub(super) struct DaysOfWeek {
    /// Bit w: every day with weekday w.
    pub every: u64,
    /// A weekday, and 1 to 5: the first to the fifth of the month.
    pub nth: Vec<(u32, u32)>,
    /// Bit w: the last day of the month with weekday w.
    pub last: u64,
}

/// A parsed expression: matches wall times.
///
/// If both day fields are set, a day matches when either matches; otherwise the one that is set decides (POSIX.1-2024,
/// crontab). A field is set unless it is `*`. `*/2` counts as set; Vixie cron treats it as unset.
#[derive(Clone, Debug)]
pub(super) struct Cron {
    /// Bit n: minute n.
    pub minutes: u64,
    /// Bit n: hour n.
    pub hours: u64,
    /// `None`: the field is `*`.
    pub days_of_month: Option<DaysOfMonth>,
    /// Bit n: month n, from 1.
    pub months: u64,
    /// `None`: the field is `*`.
    pub days_of_week: Option<DaysOfWeek>,
    /// The hour field has `*` or `*/n` in it: the expression is meant for elapsed time and not for certain hours of the day.
    pub star_hour: bool,
    /// The result of [`Self::shortest_distance()`], once it is known.
    pub shortest_distance: OnceLock<Option<Duration>>,
}

impl Cron {
    /// The first match after `from`, or at `from` if `inclusive`; `None` if there is none in the next 41 years.
    pub(super) fn next(&self, from: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
        let minute = from.with_second(0)?.with_nanosecond(0)?;
        let first =
            if inclusive && minute == from { minute } else { minute.checked_add_signed(TimeDelta::minutes(1))? };
        let date = first.date();
        if bit(self.days_in(date.year(), date.month()), date.day())
            && let Some(time) = self.time_from(first.hour(), first.minute())
        {
            return Some(date.and_time(time));
        }
        Some(self.date_after(date)?.and_time(self.time_from(0, 0)?))
    }

    /// Whether a wall time matches.
    pub(super) fn matches(&self, wall: NaiveDateTime) -> bool {
        self.next(wall, true) == Some(wall)
    }

    /// The first time of a day that matches, from an hour and minute on.
    fn time_from(&self, hour: u32, minute: u32) -> Option<NaiveTime> {
        let minutes = if bit(self.hours, hour) { self.minutes & from(minute) } else { 0 };
        let (hour, minutes) = match minutes {
            0 => (lowest(self.hours & from(hour + 1))?, self.minutes),
            minutes => (hour, minutes),
        };
        NaiveTime::from_hms_opt(hour, lowest(minutes)?, 0)
    }

    /// The first date after another that matches.
    fn date_after(&self, date: NaiveDate) -> Option<NaiveDate> {
        let (mut year, mut month) = (date.year(), date.month());
        let last_year = year + SEARCH_YEARS;
        let mut days = self.days_in(year, month) & from(date.day() + 1);
        loop {
            if let Some(day) = lowest(days) {
                return NaiveDate::from_ymd_opt(year, month, day);
            }
            month = match lowest(self.months & from(month + 1)) {
                Some(month) => month,
                None if year == last_year => return None,
                None => {
                    year += 1;
                    lowest(self.months)?
                }
            };
            days = self.days_in(year, month);
        }
    }

    /// The days of a month that match: bit n is day n.
    fn days_in(&self, year: i32, month: u32) -> u64 {
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1).filter(|_| bit(self.months, month)) else { return 0 };
        let length = u32::from(first.num_days_in_month());
        let all = from(1) & !from(length + 1);
        let by_number = |set: &DaysOfMonth| set.days & all | u64::from(set.last) << length;
        let by_weekday = |set: &DaysOfWeek| set.days_in(first.weekday().num_days_from_sunday(), length);
        match (&self.days_of_month, &self.days_of_week) {
            (None, None) => all,
            (Some(numbers), None) => by_number(numbers),
            (None, Some(weekdays)) => by_weekday(weekdays),
            (Some(numbers), Some(weekdays)) => by_number(numbers) | by_weekday(weekdays),
        }
    }

    /// The shortest time between two wall times that match; `None` if no two match.
    ///
    /// Compares all times of a day, and the last time of a day with the first of the next day that matches.
    pub(super) fn shortest_distance(&self) -> Option<Duration> {
        *self.shortest_distance.get_or_init(|| self.find_shortest_distance())
    }

    fn find_shortest_distance(&self) -> Option<Duration> {
        let (mut first, mut last, mut within_day) = (None, None, None);
        for hour in bits(self.hours) {
            for minute in bits(self.minutes) {
                let time = 60 * hour + minute;
                let distance = last.map(|last| time - last);
                within_day = within_day.into_iter().chain(distance).min();
                (first, last) = (first.or(Some(time)), Some(time));
            }
        }
        let across_days = |days: u32| Some(days * 1_440 + first? - last?);
        let shortest = match within_day {
            // Even on consecutive days, the distance would not be shorter.
            Some(distance) if across_days(1) >= Some(distance) => Some(distance),
            distance => self.fewest_days_between().and_then(across_days).into_iter().chain(distance).min(),
        };
        Some(Duration::from_mins(u64::from(shortest?)))
    }

    /// The smallest number of days from a matching day to the next.
    fn fewest_days_between(&self) -> Option<u32> {
        let (mut fewest, mut last, mut month_start) = (None, None, 0);
        for (year, month) in CALENDAR_CYCLE.flat_map(|year| (1..=12).map(move |month| (year, month))) {
            for day in bits(self.days_in(year, month)) {
                let distance = last.map(|last| month_start + day - last);
                fewest = fewest.into_iter().chain(distance).min();
                last = Some(month_start + day);
            }
            if fewest == Some(1) {
                break;
            }
            month_start +=
                NaiveDate::from_ymd_opt(year, month, 1).map_or(0, |first| u32::from(first.num_days_in_month()));
        }
        fewest
    }
}

impl DaysOfWeek {
    /// The matching days of a month with `length` days that begins with weekday `first`: bit n is day n.
    fn days_in(&self, first: u32, length: u32) -> u64 {
        let first_day = |weekday: u32| 1 + (weekday + 7 - first) % 7;
        let mut days = 0;
        for weekday in bits(self.every) {
            days |= (0..5).fold(0, |days, week| days | 1 << (first_day(weekday) + 7 * week));
        }
        for (weekday, nth) in &self.nth {
            days |= 1 << (first_day(*weekday) + 7 * (nth - 1));
        }
        days &= !from(length + 1);
        for weekday in bits(self.last) {
            days |= 1 << (length - (length - first_day(weekday)) % 7);
        }
        days
    }
}

/// Whether bit n is set.
fn bit(set: u64, n: u32) -> bool {
    set >> n & 1 == 1
}

/// All bits from n on.
fn from(n: u32) -> u64 {
    u64::MAX.checked_shl(n).unwrap_or(0)
}

/// The number of the lowest bit that is set.
fn lowest(set: u64) -> Option<u32> {
    (set != 0).then(|| set.trailing_zeros())
}

/// The numbers of the bits that are set, in ascending order.
fn bits(mut set: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let next = lowest(set)?;
        set &= set - 1;
        Some(next)
    })
}
