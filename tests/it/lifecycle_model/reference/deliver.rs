//! What runners do: leases, and the ends of attempts.

use super::runs::block;
use super::{Reference, Run, State};
use crate::lifecycle_model::operations::{Caller, End};
use crate::lifecycle_model::runner::{MAX_FAILURES, MAX_PER_CONNECTION, MAX_PER_ORGANIZATION};

impl Reference {
    /// The runs of which the next lease is one: those that have waited longest among those that may start.
    pub fn next_runs(&self) -> Vec<usize> {
        let may_start: Vec<_> = (0..self.runs.len()).filter(|number| self.may_start(&self.runs[*number])).collect();
        let first = may_start.iter().map(|number| self.runs[*number].ready).min();
        may_start.into_iter().filter(|number| Some(self.runs[*number].ready) == first).collect()
    }

    fn may_start(&self, run: &Run) -> bool {
        let leased = |condition: &dyn Fn(&Run) -> bool| {
            self.runs.iter().filter(|other| other.is_leased() && condition(other)).count()
        };
        let connection = self.connections.get(&run.connection.0);
        // Between attempts, a run counts as started.
        let is_started = |other: &Run| other.is_leased() || (other.state == State::Queued && other.attempt > 0);
        let is_other = |other: &Run| other.export == run.export && !std::ptr::eq(other, run);
        run.state == State::Queued
            && run.ready.0 <= self.hour
            && connection
                .is_some_and(|found| found.incarnation == run.connection.1 && found.state(self.hour) == "ACTIVE")
            && leased(&|_| true) < MAX_PER_ORGANIZATION as usize
            && leased(&|other| other.connection.1 == run.connection.1) < MAX_PER_CONNECTION as usize
            && !self.runs.iter().any(|other| is_other(other) && is_started(other))
    }

    /// Leases a run until the next hour.
    pub fn lease(&mut self, number: usize) {
        let run = &mut self.runs[number];
        let export = self.exports.values().find(|export| export.incarnation == run.export);
        run.pinned = Some(export.expect("the export exists").revision);
        run.state = State::Running;
        run.attempt += 1;
        run.rows = 0;
        run.lease_end = self.hour + 1;
    }

    /// The state of the run of an attempt, if that still has its lease, which is renewed.
    pub fn renew(&mut self, number: usize, attempt: u32, rows: u64) -> Option<State> {
        let run = &mut self.runs[number];
        if !run.is_leased() || run.attempt != attempt {
            return None;
        }
        (run.rows, run.estimated, run.lease_end) = (rows, Some(rows), self.hour + 1);
        Some(run.state)
    }

    /// Ends an attempt, unless it lost its lease.
    pub fn end_attempt(&mut self, number: usize, attempt: u32, end: End, rows: u64) {
        self.step += 1;
        let (hour, step) = (self.hour, self.step);
        let run = &mut self.runs[number];
        if !run.is_leased() || run.attempt != attempt {
            return;
        }
        let may_repeat = run.failures + 1 < MAX_FAILURES;
        let was_cancelled = run.state == State::Cancelling;
        run.failures += u32::from(matches!(end, End::Retryable | End::Permanent));
        (run.rows, run.failure) = (rows, None);
        run.state = match end {
            End::Success => State::Succeeded,
            _ if was_cancelled => State::Cancelled,
            End::Interrupted => {
                run.ready = (hour, step);
                State::Queued
            }
            End::Retryable if may_repeat => {
                // The delay is random; it ends within the hour.
                (run.ready, run.failure) = ((hour + 1, 0), Some(false));
                State::Queued
            }
            End::Retryable | End::Permanent => {
                run.failure = Some(end == End::Permanent);
                State::Failed
            }
        };
        let (export, state) = (run.export, run.state);
        self.count_failures(export, state);
    }

    /// Counts the failed runs of an export in a row, and pauses its schedule after too many.
    fn count_failures(&mut self, export: u64, state: State) {
        let found = self.exports.iter_mut().find(|(_, one)| one.incarnation == export);
        let Some((id, export)) = found.filter(|(_, export)| export.paused.is_none()) else { return };
        match state {
            State::Succeeded => export.failures = 0,
            State::Failed => {
                export.failures += 1;
                let is_reached = export.timing.pause_after_failures.is_some_and(|limit| export.failures >= limit);
                if export.enabled && is_reached {
                    let id = id.clone();
                    self.change(Caller::Scheduler, &id, |export| {
                        (export.paused, export.next_due) = (Some(export.failures), None);
                    });
                }
            }
            _ => {}
        }
    }

    /// Ends the leases that expired, and skips queued runs whose credential expired.
    pub fn end_leases(&mut self) {
        self.step += 1;
        for run in &mut self.runs {
            if run.is_leased() && run.lease_end <= self.hour {
                let was_cancelled = run.state == State::Cancelling;
                run.state = if was_cancelled { State::Cancelled } else { State::Queued };
                (run.ready, run.failure) = ((self.hour, self.step), None);
            }
            let connection = self.connections.get(&run.connection.0);
            let is_expired = connection.is_some_and(|found| {
                found.incarnation == run.connection.1 && found.state(self.hour) == "CREDENTIAL_EXPIRED"
            });
            if run.state == State::Queued && run.ready.0 <= self.hour && is_expired {
                block(run, "CREDENTIAL_EXPIRED");
            }
        }
    }
}
