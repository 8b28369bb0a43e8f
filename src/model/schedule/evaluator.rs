//! Computes the instants at which a schedule is due.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::cron::Cron;
use super::data::{RepeatedTime, Schedule, SkippedTime};
use super::zone::{Pass, Zone};
use crate::model::limits;

/// More than any two offsets of a zone differ: 2 days. The largest changes, of 24 hours, are those of zones that moved to
/// the other side of the date line.
const MAX_CHANGE: TimeDelta = TimeDelta::days(2);

/// How far a search looks ahead; longer than the years between any two occurrences, except those that a policy skips.
const SEARCH: TimeDelta = TimeDelta::days(50 * 366);

/// An occurrence of a schedule, before jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The nominal instant.
    pub time: DateTime<Utc>,
    /// The nominal instant in the schedule's time zone (UTC for an interval).
    pub local_time: DateTime<FixedOffset>,
    /// How a change of the zone's offset affected it.
    pub shift: Shift,
}

/// How a change of the zone's offset (daylight saving, or a new standard time) affected an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// Not affected.
    None,
    /// The wall time of the expression was skipped; this is the first instant after the gap.
    Moved,
    /// The wall time occurs twice; this is the earlier instant.
    RepeatedFirst,
    /// The wall time occurs twice; this is the later instant.
    RepeatedSecond,
}

/// The next run of one export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRun {
    /// Nominal time, which identifies the run.
    pub schedule_time: DateTime<Utc>,
    /// Due time: the nominal time plus the jitter of this run.
    pub next_run_time: DateTime<Utc>,
}

/// A compiled schedule. Methods take the current time as a parameter.
#[derive(Clone, Debug)]
pub struct Evaluator {
    rule: Rule,
    start_time: Option<DateTime<Utc>>,
    end_time: Option<DateTime<Utc>>,
    jitter: Duration,
}

/// How the occurrences are computed.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Wall times of a zone.
    Cron { cron: Arc<Cron>, zone: Zone, skipped: SkippedTime, repeated: RepeatedTime },
    /// A grid of instants.
    Interval { every: Duration, anchor: DateTime<Utc> },
}

impl Evaluator {
    pub(super) fn new(rule: Rule, schedule: &Schedule) -> Self {
        Self {
            rule,
            start_time: schedule.start_time,
            end_time: schedule.end_time,
            jitter: schedule.jitter.unwrap_or_default(),
        }
    }

    /// The shortest time between two occurrences; `None` if there is at most one.
    ///
    /// For an expression it is counted on the wall clock, so that it is the same at every time of the year.
    pub(super) fn shortest_distance(&self) -> Option<Duration> {
        match &self.rule {
            Rule::Cron { cron, .. } => cron.shortest_distance(),
            Rule::Interval { every, .. } => Some(*every),
        }
    }

    /// The first occurrence strictly after an instant, within the start and end of the schedule.
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<Occurrence> {
        // The start is inclusive and `after` exclusive: search from just before the start.
        let before_start = self.start_time.and_then(|start| start.checked_sub_signed(TimeDelta::nanoseconds(1)));
        let from = before_start.map_or(instant, |before_start| before_start.max(instant));
        let occurrence = match &self.rule {
            Rule::Cron { cron, zone, skipped, repeated } => next_of_cron(cron, zone, *skipped, *repeated, from),
            Rule::Interval { every, anchor } => next_of_interval(*every, *anchor, from),
        };
        occurrence.filter(|occurrence| self.end_time.is_none_or(|end| occurrence.time < end))
    }

    /// All occurrences strictly after an instant, in ascending order; there may be thousands of years of them.
    pub fn occurrences_after(&self, instant: DateTime<Utc>) -> impl Iterator<Item = Occurrence> {
        iter::successors(self.next_after(instant), |last| self.next_after(last.time))
    }

    /// The next `count` occurrences (at most [`limits::MAX_PREVIEW_OCCURRENCES`]) strictly after an instant, before jitter.
    pub fn preview(&self, after: DateTime<Utc>, count: usize) -> Vec<Occurrence> {
        self.occurrences_after(after).take(count.min(limits::MAX_PREVIEW_OCCURRENCES as usize)).collect()
    }

    /// The next run of the export `uid` whose nominal time is strictly after `after`.
    ///
    /// Pass the nominal time of the previous run: an occurrence whose nominal time has passed is not returned again,
    /// even if its jitter has not passed yet.
    pub fn next_run_time(&self, uid: Uuid, after: DateTime<Utc>) -> Option<NextRun> {
        let schedule_time = self.next_after(after)?.time;
        let jitter = TimeDelta::from_std(jitter_of(uid, schedule_time, self.jitter)).ok()?;
        Some(NextRun { schedule_time, next_run_time: schedule_time.checked_add_signed(jitter)? })
    }

    /// An instant before which no occurrence is due at or after `instant`, jitter included.
    pub(super) fn jitter_before(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let jitter = TimeDelta::from_std(self.jitter).ok()?;
        instant.checked_sub_signed(jitter)?.checked_sub_signed(TimeDelta::microseconds(1))
    }

    /// The run of the export `uid` that is due first after `now`. This includes a run whose nominal time has passed and
    /// whose jitter has not. While clocks change, a later occurrence can be due before an earlier one.
    pub fn next_run_due(&self, uid: Uuid, now: DateTime<Utc>) -> Option<NextRun> {
        let over = now.checked_sub_signed(TimeDelta::from_std(self.jitter).ok()?)?;
        let runs = iter::successors(self.next_run_time(uid, over), |run| self.next_run_time(uid, run.schedule_time));
        let mut first: Option<NextRun> = None;
        for run in runs.skip_while(|run| run.next_run_time <= now) {
            if first.is_some_and(|first| first.next_run_time <= run.schedule_time) {
                break;
            }
            if run.next_run_time > now && first.is_none_or(|first| run.next_run_time < first.next_run_time) {
                first = Some(run);
            }
        }
        first
    }
}

/// The first occurrence of an expression after `after`.
///
/// Searches from one transition of the offset to the next; between two transitions, wall time and instant differ by a
/// constant.
fn next_of_cron(
    cron: &Cron,
    zone: &Zone,
    skipped: SkippedTime,
    repeated: RepeatedTime,
    after: DateTime<Utc>,
) -> Option<Occurrence> {
    let until = after.checked_add_signed(SEARCH)?;
    let (mut from, mut inclusive) = (after, false);
    while from < until {
        let offset = zone.offset_at(from)?;
        let wall = cron.next(from.naive_utc().checked_add_signed(offset)?, inclusive)?;
        let instant = wall.checked_sub_signed(offset)?.and_utc();
        if let Some(transition) = zone.next_transition(from, instant) {
            if transition > from + MAX_CHANGE && instant > transition + MAX_CHANGE {
                // This transition and those up to shortly before the match repeat or skip no matching wall time.
                (from, inclusive) = (instant - MAX_CHANGE, false);
                continue;
            }
            // No match before the transition. Moving forward skips the wall times up to `wall_after`.
            let offset = zone.offset_at(transition)?;
            let wall_after = transition.naive_utc().checked_add_signed(offset)?;
            let jumped_over = wall < wall_after;
            if jumped_over && skipped == SkippedTime::RunAtNextValidTime && !cron.matches(wall_after) {
                return occurrence(transition, offset, Shift::Moved);
            }
            (from, inclusive) = (transition, true);
            continue;
        }
        match (zone.pass_of(wall, instant), repeated) {
            (Pass::Only, _) => return occurrence(instant, offset, Shift::None),
            (Pass::First, _) => return occurrence(instant, offset, Shift::RepeatedFirst),
            (Pass::Second, RepeatedTime::RunBoth) => return occurrence(instant, offset, Shift::RepeatedSecond),
            (Pass::Second, RepeatedTime::RunFirst) => (from, inclusive) = (instant, false),
        }
    }
    None
}

/// The first instant of the grid `anchor + n * every` after `after`; whole microseconds.
fn next_of_interval(every: Duration, anchor: DateTime<Utc>, after: DateTime<Utc>) -> Option<Occurrence> {
    let every = i64::try_from(every.as_micros()).ok().filter(|every| *every > 0)?;
    let since_anchor = after.timestamp_micros().checked_sub(anchor.timestamp_micros())?;
    let next = after.timestamp_micros().checked_add(every - since_anchor.rem_euclid(every))?;
    occurrence(DateTime::from_timestamp_micros(next)?, TimeDelta::zero(), Shift::None)
}

fn occurrence(time: DateTime<Utc>, offset: TimeDelta, shift: Shift) -> Option<Occurrence> {
    let offset = FixedOffset::east_opt(i32::try_from(offset.num_seconds()).ok()?)?;
    Some(Occurrence { time, local_time: time.with_timezone(&offset), shift })
}

/// The delay of a run: the first 8 bytes of SHA-256(uid, nominal time in microseconds), modulo the window.
///
/// Identical on every replica and after every restart; evenly distributed over exports.
fn jitter_of(uid: Uuid, schedule_time: DateTime<Utc>, window: Duration) -> Duration {
    let digest =
        Sha256::new().chain_update(uid.as_bytes()).chain_update(schedule_time.timestamp_micros().to_be_bytes());
    let hash = digest.finalize().iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(hash.checked_rem(window).unwrap_or(0))
}
