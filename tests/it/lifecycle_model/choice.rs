//! The random choice of operations.

use prost_types::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::operations::{Caller, End, Etag, Expiry, ListedSet, Op, RunName, Timing};

/// Chooses the next operation.
pub struct Chooser<'a> {
    pub random: &'a mut StdRng,
    /// Chooses an etag for a resource by its id and a random number below 100.
    pub etag: &'a dyn Fn(&str, u32) -> Etag,
    /// The time in a number of hours.
    pub time: &'a dyn Fn(u64) -> Timestamp,
    /// The blocking sets that were reported before, with the ids of their connections.
    pub listed: &'a [(String, ListedSet)],
    /// The ids of the existing connections and exports.
    pub existing: [Vec<&'a String>; 2],
    /// All runs, under the ids of the exports that they were created for.
    pub runs: &'a [RunName],
    /// Whether most operations concern runs.
    pub mostly_runs: bool,
    /// How many attempts the runner has begun and not reported.
    pub attempts: usize,
}

impl Chooser<'_> {
    /// Chooses the caller, mostly one that has the required role.
    pub fn choose_caller(&mut self, op: &Op) -> Caller {
        let roll = self.random.random_range(0..100);
        match op {
            Op::SearchUsable
            | Op::ListExports { .. }
            | Op::CreateExport { .. }
            | Op::UpdateExport { .. }
            | Op::DeleteExport { .. }
            | Op::BatchDelete { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::BatchAttach { .. }
            | Op::SetEnabled { .. }
            | Op::RunExport { .. }
            | Op::BatchRun { .. }
            | Op::RunScheduled
            | Op::CancelRun { .. }
            | Op::GetRun { .. }
            | Op::ListRuns { .. } => match roll {
                0..30 => Caller::Root,
                30..70 => Caller::Ann,
                70..95 => Caller::Bob,
                _ => Caller::Vera,
            },
            _ => match roll {
                0..94 => Caller::Root,
                94..98 => Caller::Ann,
                _ => Caller::Vera,
            },
        }
    }

    /// Chooses the next operation.
    pub fn next(&mut self) -> Op {
        let (id, connection) = (self.export(), self.connection());
        // Create resources while there are few of them.
        let roll = match &self.existing {
            [connections, _] if connections.len() < 2 && self.random.random_bool(0.6) => 0,
            [_, exports] if exports.len() < 3 && self.random.random_bool(0.4) => 17,
            _ if self.mostly_runs && self.random.random_bool(0.6) => self.random.random_range(35..64),
            _ => self.random.random_range(0..64),
        };
        match roll {
            0..=2 => {
                let connection = self.unused(0, "c", 3);
                let (all, members) = (self.random.random_bool(0.3), self.members());
                let secret = self.random.random_bool(0.9);
                Op::CreateConnection { id: connection, all, members, secret, expiry: self.expiry() }
            }
            3 => Op::Describe { description: self.text(), etag: self.etag(&connection), id: connection },
            4 => Op::MoveEndpoint { id: connection, host: self.host(), secret: self.random.random_bool(0.5) },
            5 | 6 => Op::DeleteConnection { etag: self.etag(&connection), id: connection },
            7 | 8 => Op::Share { id: connection, all: self.random.random_bool(0.3), members: self.some_members() },
            9 => Op::Unshare { id: connection, all: self.random.random_bool(0.5), members: self.some_members() },
            10 => Op::Suspend { id: connection, reason: self.text() },
            11 => Op::Resume { id: connection },
            12 => Op::Rotate { id: connection, expiry: self.expiry() },
            13 => Op::Revoke { id: connection },
            14 => Op::GetConnection { id: connection },
            15 => Op::SearchUsable,
            16 => Op::Stream { id: connection },
            17..=21 => {
                let id = self.new_export();
                let (enabled, timing) = (self.random.random_bool(0.7), self.timing());
                Op::CreateExport { id, connection, enabled, timing }
            }
            22 => {
                let owner = self.random.random_bool(0.5).then(|| self.owner());
                Op::UpdateExport { description: self.text(), owner, etag: self.etag(&id), id }
            }
            23 => Op::DeleteExport { etag: self.etag(&id), id },
            24 => Op::BatchDelete { ids: self.exports() },
            25 => Op::Duplicate { id, copy: self.new_export() },
            26..=28 => Op::Attach { etag: self.etag(&id), id, connection },
            29 => Op::BatchAttach { ids: self.exports(), connection },
            30 | 31 => Op::Detach { etag: self.etag(&id), id, reason: self.text() },
            32 => Op::BatchDetach { ids: self.exports(), reason: self.text() },
            33 | 34 => match self.listed.last() {
                // Mostly the set that was reported last.
                Some((id, listed)) if self.random.random_bool(0.7) => {
                    Op::DetachSet { id: id.clone(), listed: listed.clone() }
                }
                Some(_) => {
                    let (id, listed) = &self.listed[self.random.random_range(0..self.listed.len())];
                    Op::DetachSet { id: id.clone(), listed: listed.clone() }
                }
                None => Op::Stream { id: connection },
            },
            35 => Op::SetEnabled { ids: self.exports(), enabled: self.random.random_bool(0.5) },
            36 => Op::ListExports { manage: self.random.random_bool(0.5) },
            37 | 38 => Op::AdvanceClock { hours: self.random.random_range(1..=2) },
            roll => self.run_op(roll - 39, id),
        }
    }

    fn owner(&mut self) -> String {
        const OWNERS: [&str; 4] = ["user:ann", "user:bob", "user:vera", "group:team"];
        OWNERS[self.random.random_range(0..OWNERS.len())].to_owned()
    }

    /// An operation on runs, or a step of the scheduler or of a runner. `id` is an export.
    fn run_op(&mut self, roll: i32, id: String) -> Op {
        let rows = self.random.random_range(0..1_000);
        match roll {
            0..=3 => Op::RunExport { id },
            4 => Op::BatchRun { ids: self.exports() },
            5 => Op::RunScheduled,
            6 | 7 if !self.runs.is_empty() => Op::CancelRun { run: self.run() },
            8 if !self.runs.is_empty() => Op::GetRun { run: self.run() },
            9 => {
                let export = self.random.random_bool(0.5).then_some(id);
                let connection = self.random.random_bool(0.3).then(|| self.connection());
                let state = if self.random.random_bool(0.5) { self.random.random_range(1..8) } else { 0 };
                let trigger = if self.random.random_bool(0.3) { self.random.random_range(1..4) } else { 0 };
                Op::ListRuns { export, state, trigger, connection }
            }
            10..=13 => Op::Schedule,
            14..=18 if self.attempts > 0 => {
                let end = match self.random.random_range(0..10) {
                    0..4 => End::Success,
                    4..7 => End::Retryable,
                    7..9 => End::Permanent,
                    _ => End::Interrupted,
                };
                Op::EndAttempt { index: self.random.random_range(0..self.attempts), end, rows }
            }
            19 => Op::Renew { rows },
            20 | 21 => Op::EndLeases,
            _ => Op::Lease,
        }
    }

    /// One of the runs, mostly of the last ones, and mostly by the name that it was created with.
    fn run(&mut self) -> RunName {
        let first = if self.random.random_bool(0.8) { self.runs.len().saturating_sub(5) } else { 0 };
        let mut run = self.runs[self.random.random_range(first..self.runs.len())].clone();
        if self.random.random_bool(0.2) {
            "-".clone_into(&mut run.export);
        }
        run
    }

    fn timing(&mut self) -> Timing {
        Timing {
            every: [1, 1, 3][self.random.random_range(0..3)],
            catchup_window: self.random.random_bool(0.3).then_some(2),
            waits: self.random.random_bool(0.5),
            pause_after_failures: self.random.random_bool(0.5).then(|| self.random.random_range(1..=2)),
        }
    }

    /// The id of a connection, mostly of an existing one.
    fn connection(&mut self) -> String {
        self.one_of(0).unwrap_or_else(|| format!("c{}", self.random.random_range(0..3)))
    }

    /// The id of an export, mostly of an existing one.
    fn export(&mut self) -> String {
        self.one_of(1).unwrap_or_else(|| format!("x{}", self.random.random_range(0..6)))
    }

    /// An id for a new export.
    fn new_export(&mut self) -> String {
        self.unused(1, "x", 6)
    }

    /// One of a few ids, mostly one that is not in use.
    fn unused(&mut self, kind: usize, prefix: &str, count: usize) -> String {
        let mut ids: Vec<_> = (0..count).map(|number| format!("{prefix}{number}")).collect();
        if self.random.random_bool(0.8) && self.existing[kind].len() < count {
            ids.retain(|id| !self.existing[kind].contains(&id));
        }
        ids.swap_remove(self.random.random_range(0..ids.len()))
    }

    /// The id of an existing resource, or sometimes `None`.
    fn one_of(&mut self, kind: usize) -> Option<String> {
        let existing = &self.existing[kind];
        let wanted = !existing.is_empty() && self.random.random_bool(0.93);
        wanted.then(|| existing[self.random.random_range(0..existing.len())].clone())
    }

    /// One to three different ids of exports.
    fn exports(&mut self) -> Vec<String> {
        let count = self.random.random_range(1..=3);
        let mut ids: Vec<String> = Vec::new();
        while ids.len() < count {
            let id = self.export();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    fn members(&mut self) -> Vec<String> {
        let known = ["user:ann", "user:bob", "group:team"];
        known.into_iter().filter(|_| self.random.random_bool(0.4)).map(ToOwned::to_owned).collect()
    }

    /// At least one member.
    fn some_members(&mut self) -> Vec<String> {
        let members = self.members();
        if members.is_empty() { vec!["user:ann".to_owned()] } else { members }
    }

    fn text(&mut self) -> String {
        ["first words", "other words", "third words"][self.random.random_range(0..3)].to_owned()
    }

    fn host(&mut self) -> String {
        ["sftp.partner.example", "moved.example"][self.random.random_range(0..2)].to_owned()
    }

    fn etag(&mut self, id: &str) -> Etag {
        (self.etag)(id, self.random.random_range(0..100))
    }

    fn expiry(&mut self) -> Option<Expiry> {
        let hours = self.random.random_range(1..=12);
        (hours <= 4).then(|| Expiry { hours, time: (self.time)(hours) })
    }
}
