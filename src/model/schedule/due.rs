//! Due times that have passed: which of them runs, and which were missed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::evaluator::{Evaluator, NextRun};

/// How many due times in a row are counted; one more means more than that.
pub const MAX_COUNTED: u64 = 10_000;
/// How late a due time may be to count as on time.
const GRACE: TimeDelta = TimeDelta::minutes(1);
/// The first span that is searched back for the latest due time; doubled until one is found.
const FIRST_SPAN: TimeDelta = TimeDelta::minutes(1);

/// What happens to the due times that have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedDueTimes {
    /// The due time that runs: the latest one, unless it is too old.
    pub run: Option<NextRun>,
    /// Whether it is later than planned, or stands for earlier ones too.
    pub is_catch_up: bool,
    /// The others.
    pub missed: Option<MissedDueTimes>,
}

/// Due times that do not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissedDueTimes {
    /// How many; [`MAX_COUNTED`] + 1 means more.
    pub count: u64,
    /// The first, without jitter.
    pub first: DateTime<Utc>,
    /// The last, without jitter.
    pub last: DateTime<Utc>,
}

impl Evaluator {
    /// Divides the due times of the export `uid` from `due`, the stored due time, to `now`. The latest of them runs if it is
    /// not older than `window`.
    pub fn passed_due_times(
        &self,
        uid: Uuid,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
        window: Duration,
    ) -> PassedDueTimes {
        let Some(latest) = self.latest_due(uid, due, now) else { return PassedDueTimes::default() };
        let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX).max(GRACE);
        let age = now - latest.next_run_time;
        let limit = usize::try_from(MAX_COUNTED).unwrap_or(usize::MAX).saturating_add(1);
        let count = self.due_between(uid, due, now).take(limit).count() as u64;
        let run = Some(latest).filter(|_| age <= window);
        let count_missed = if count > MAX_COUNTED { count } else { count - u64::from(run.is_some()) };
        let first = self.due_between(uid, due, now).next();
        let last = match run {
            Some(_) => self.latest_due(uid, due, latest.next_run_time - TimeDelta::microseconds(1)),
            None => Some(latest),
        };
        let missed = first.zip(last).filter(|_| count_missed > 0).map(|(first, last)| MissedDueTimes {
            count: count_missed,
            first: first.schedule_time,
            last: last.schedule_time,
        });
        PassedDueTimes { run, is_catch_up: missed.is_some() || age > GRACE, missed }
    }

    /// The runs of the export `uid` that are due between two instants, both included, in the order of their nominal times.
    fn due_between(&self, uid: Uuid, from: DateTime<Utc>, to: DateTime<Utc>) -> impl Iterator<Item = NextRun> {
        let before = self.jitter_before(from);
        let runs = std::iter::successors(before.and_then(|before| self.next_run_time(uid, before)), move |run| {
            self.next_run_time(uid, run.schedule_time)
        });
        runs.take_while(move |run| run.schedule_time <= to).filter(move |run| (from..=to).contains(&run.next_run_time))
    }

    /// The run of the export `uid` that is due last between two instants, both included. Searches back in growing spans, so
    /// that its cost does not depend on the time between them.
    fn latest_due(&self, uid: Uuid, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<NextRun> {
        let mut span = FIRST_SPAN;
        loop {
            let begin = to.checked_sub_signed(span).unwrap_or(from).max(from);
            let latest = self.due_between(uid, begin, to).max_by_key(|run| run.next_run_time);
            if latest.is_some() || begin == from {
                return latest;
            }
            span = span * 2;
        }
    }
}
