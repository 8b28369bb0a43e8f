//! Runs: started and cancelled by callers, queued and skipped by the scheduler.

use std::collections::BTreeMap;

use super::{Affected, Export, NOT_FOUND, NOT_PERMITTED, Outcome, Reference};
use crate::lifecycle_model::operations::{Caller, Op, RunName, Timing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelling,
    Cancelled,
    Skipped,
}

/// A run, or due times that were skipped.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The incarnation of its export.
    pub export: u64,
    /// The id and the incarnation of its connection.
    pub connection: (String, u64),
    pub display_name: String,
    pub principal: Caller,
    pub state: State,
    /// Why due times were skipped; empty if none were.
    pub skip_reason: &'static str,
    /// The number of due times that it stands for.
    pub due_count: i64,
    /// The hour of its first due time.
    pub due: Option<u64>,
    /// The hour of its last due time.
    pub last_due: Option<u64>,
    /// Whether a due time was caught up.
    pub is_late: bool,
    /// When it may be leased, while it is queued: the hour, and the operation within the hour.
    pub ready: (u64, u64),
    pub attempt: u32,
    /// The revision of the export at the last lease.
    pub pinned: Option<u64>,
    /// The hour from which the lease has expired.
    pub lease_end: u64,
    pub failures: u32,
    /// Whether the last failure is permanent, if it is kept.
    pub failure: Option<bool>,
    /// Rows of the last attempt.
    pub rows: u64,
    pub estimated: Option<u64>,
}

impl Run {
    pub fn is_final(&self) -> bool {
        !matches!(self.state, State::Queued | State::Running | State::Cancelling)
    }

    /// Whether a runner has it.
    pub fn is_leased(&self) -> bool {
        matches!(self.state, State::Running | State::Cancelling)
    }
}

impl Timing {
    /// The first due time after an hour.
    pub fn due_after(&self, hour: u64) -> u64 {
        (hour / self.every + 1) * self.every
    }
}

impl Export {
    pub fn first_due(&self, hour: u64) -> Option<u64> {
        (self.enabled && self.paused.is_none()).then(|| self.timing.due_after(hour))
    }
}

impl Reference {
    pub(super) fn run_or_cancel(&mut self, caller: Caller, op: &Op) -> Outcome<Affected> {
        match op {
            Op::RunExport { id } => self.run_all(caller, std::slice::from_ref(id)),
            Op::BatchRun { ids } => self.run_all(caller, ids),
            Op::RunScheduled => {
                let mut scheduled: Vec<_> = self.exports.iter().collect();
                scheduled.retain(|(_, export)| {
                    export.connection.is_ok() && export.next_due.is_some() && self.manages(caller, export)
                });
                scheduled.sort_by_key(|(_, export)| export.incarnation);
                let scheduled: Vec<_> = scheduled.into_iter().map(|(id, _)| id.clone()).collect();
                let mut affected = Affected::default();
                for id in scheduled {
                    match self.check_can_run(&id) {
                        Ok(()) => affected.runs.push(self.start(caller, &id)),
                        Err(_) => affected.skipped.push(id),
                    }
                }
                Ok(affected)
            }
            Op::CancelRun { run } => {
                let affected = self.find_run(run)?;
                let export = self.runs[run.number].export;
                match self.exports.iter().find(|(_, one)| one.incarnation == export) {
                    Some((id, _)) => self.check_managed(caller, std::slice::from_ref(&id.clone()))?,
                    None if caller == Caller::Root => {}
                    None => return Err(NOT_PERMITTED),
                }
                cancel(&mut self.runs[run.number]);
                Ok(affected)
            }
            _ => panic!("not an operation on runs: {op:?}"),
        }
    }

    fn run_all(&mut self, caller: Caller, ids: &[String]) -> Outcome<Affected> {
        self.check_managed(caller, ids)?;
        ids.iter().try_for_each(|id| self.check_can_run(id))?;
        Ok(Affected { runs: ids.iter().map(|id| self.start(caller, id)).collect(), ..Affected::default() })
    }

    /// Finds a run by its name, which is valid as long as its export has the id in it.
    pub(super) fn find_run(&self, name: &RunName) -> Outcome<Affected> {
        let export = self.exports.get(&name.export).map(|export| export.incarnation);
        if name.export != "-" && export != Some(self.runs[name.number].export) {
            return Err(NOT_FOUND);
        }
        Ok(Affected { runs: vec![name.number], ..Affected::default() })
    }

    fn check_can_run(&self, id: &str) -> Outcome<()> {
        let export = &self.exports[id];
        let Ok(connection) = &export.connection else { return Err("EXPORT_INACTIVE") };
        match self.connections[connection].state(self.hour) {
            "ACTIVE" if self.unfinished(export.incarnation).next().is_some() => Err("RUN_IN_PROGRESS"),
            "ACTIVE" => Ok(()),
            "SUSPENDED" => Err("CONNECTION_SUSPENDED"),
            _ => Err("CREDENTIAL_REQUIRED"),
        }
    }

    fn unfinished(&self, export: u64) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.export == export && !run.is_final())
    }

    /// Queues a run, and returns its number.
    fn start(&mut self, caller: Caller, id: &str) -> usize {
        let run = self.new_run(caller, id);
        self.runs.push(run);
        self.runs.len() - 1
    }

    fn new_run(&self, principal: Caller, id: &str) -> Run {
        let export = &self.exports[id];
        let connection = export.connection.as_ref().expect("an attached export");
        Run {
            export: export.incarnation,
            connection: (connection.clone(), self.connections[connection].incarnation),
            display_name: export.display_name.clone(),
            principal,
            state: State::Queued,
            skip_reason: "",
            due_count: 0,
            due: None,
            last_due: None,
            is_late: false,
            ready: (self.hour, self.step),
            attempt: 0,
            pinned: None,
            lease_end: 0,
            failures: 0,
            failure: None,
            rows: 0,
            estimated: None,
        }
    }

    /// Cancels the runs of an export that is released from its connection.
    pub(super) fn cancel_runs(&mut self, export: u64) {
        self.runs.iter_mut().filter(|run| run.export == export).for_each(cancel);
    }

    /// Skips the queued runs on a connection, and cancels those that a runner has.
    pub(super) fn block_runs(&mut self, connection: u64, reason: &'static str) {
        for run in self.runs.iter_mut().filter(|run| run.connection.1 == connection) {
            block(run, reason);
        }
    }

    /// Turns the passed due times of all exports into runs.
    pub fn schedule(&mut self) {
        self.step += 1;
        let due: BTreeMap<_, _> = self
            .exports
            .iter()
            .filter(|(_, export)| export.connection.is_ok())
            .filter_map(|(id, export)| Some((id.clone(), export.next_due.filter(|due| *due <= self.hour)?)))
            .collect();
        for (id, due) in due {
            self.schedule_export(&id, due);
        }
    }

    fn schedule_export(&mut self, id: &str, due: u64) {
        let timing = self.exports[id].timing.clone();
        let step = usize::try_from(timing.every).expect("a small number");
        let passed: Vec<u64> = (due..=self.hour).step_by(step).collect();
        let latest = passed[passed.len() - 1];
        self.exports.get_mut(id).expect("the export exists").next_due = Some(timing.due_after(self.hour));
        let connection = self.exports[id].connection.as_ref().expect("an attached export");
        let obstacle = match self.connections[connection].state(self.hour) {
            "ACTIVE" => None,
            "SUSPENDED" => Some("CONNECTION_SUSPENDED"),
            "CREDENTIAL_MISSING" => Some("CREDENTIAL_REQUIRED"),
            other => Some(other),
        };
        if let Some(reason) = obstacle {
            return self.skip(id, reason, &passed);
        }
        let is_in_window = self.hour - latest < timing.catchup_window.unwrap_or(1);
        let missed = if is_in_window { &passed[..passed.len() - 1] } else { &passed[..] };
        if !missed.is_empty() {
            self.skip(id, "MISSED", missed);
        }
        if !is_in_window {
            return;
        }
        // One run may wait for another one, which was started.
        let blocks = |run: &Run| !timing.waits || (run.state == State::Queued && run.attempt == 0);
        if self.unfinished(self.exports[id].incarnation).any(blocks) {
            return self.skip(id, "OVERLAP", &[latest]);
        }
        let is_late = !missed.is_empty() || latest < self.hour;
        let run = Run { due: Some(latest), due_count: 1, is_late, ..self.new_run(Caller::Scheduler, id) };
        self.runs.push(run);
    }

    /// Records that due times were skipped: with the last record of the export, if it has the same reason.
    fn skip(&mut self, id: &str, reason: &'static str, skipped: &[u64]) {
        let count = i64::try_from(skipped.len()).expect("a small number");
        let last_due = skipped.last().copied();
        let export = self.exports[id].incarnation;
        if let Some(last) = self.runs.iter_mut().rfind(|run| run.export == export)
            && (last.state, last.skip_reason) == (State::Skipped, reason)
            && last.due.is_some()
        {
            last.due_count += count;
            last.last_due = last_due;
            return;
        }
        let record = Run {
            state: State::Skipped,
            skip_reason: reason,
            due_count: count,
            due: skipped.first().copied(),
            last_due,
            ..self.new_run(Caller::Scheduler, id)
        };
        self.runs.push(record);
    }
}

fn cancel(run: &mut Run) {
    match run.state {
        State::Queued => run.state = State::Cancelled,
        State::Running => run.state = State::Cancelling,
        _ => {}
    }
}

/// Skips a queued run, and cancels one that a runner has.
pub(super) fn block(run: &mut Run, reason: &'static str) {
    match run.state {
        State::Queued => (run.state, run.skip_reason) = (State::Skipped, reason),
        State::Running => run.state = State::Cancelling,
        _ => {}
    }
}
