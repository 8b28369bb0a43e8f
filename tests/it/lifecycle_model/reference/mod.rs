//! The reference: a second implementation of the rules, small and in memory, independent of the product.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::{Caller, Etag, Op, Timing};

mod administer;
mod contribute;
mod deliver;
mod runs;

pub use runs::{Run, State};

#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// A number that distinguishes the connections that have had this id.
    pub incarnation: u64,
    pub description: String,
    pub host: String,
    pub all: bool,
    pub members: BTreeSet<String>,
    pub suspended: Option<String>,
    /// The hour in which the stored credential expires.
    pub credential: Option<u64>,
    pub credential_revision: i64,
    /// The ids of the attached exports, in order of attachment.
    pub attached: Vec<String>,
    /// How many exports have ever been attached.
    pub attachments: u64,
    pub revision: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Detached {
    pub from: String,
    pub reason: String,
    /// Whether it was detached by a batch.
    pub batch: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// A number that distinguishes the exports that have had this id.
    pub incarnation: u64,
    pub display_name: String,
    pub description: String,
    pub creator: Caller,
    /// A user or a group, as in shares.
    pub owner: String,
    pub updater: Caller,
    /// The connection that it is attached to, or what is known of the last one.
    pub connection: Result<String, Detached>,
    pub enabled: bool,
    pub timing: Timing,
    /// The hour of the next due time, ignoring whether the export can run.
    pub next_due: Option<u64>,
    /// How many runs in a row failed.
    pub failures: u32,
    /// How many runs in a row had failed when the schedule was paused.
    pub paused: Option<u32>,
    pub revision: u64,
}

/// The resources that a change affected, from which its response is built again when it is repeated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affected {
    /// Ids and incarnations.
    pub resources: Vec<(String, u64)>,
    pub count: u64,
    /// Numbers of runs.
    pub runs: Vec<usize>,
    /// Ids of exports that a batch left out.
    pub skipped: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    pub connections: BTreeMap<String, Connection>,
    pub exports: BTreeMap<String, Export>,
    pub runs: Vec<Run>,
    pub hour: u64,
    /// How many operations there were.
    step: u64,
    /// How many resources were created.
    created: u64,
}

/// The expiry hour of a credential that does not expire.
pub const NEVER: u64 = u64::MAX;
const ROLE_REQUIRED: &str = "ROLE_REQUIRED";
const NOT_PERMITTED: &str = "NOT_PERMITTED";
const NOT_FOUND: &str = "RESOURCE_NOT_FOUND";

type Outcome<T> = Result<T, &'static str>;

impl Connection {
    pub fn is_usable(&self, caller: Caller) -> bool {
        match caller {
            Caller::Root => true,
            Caller::Ann | Caller::Bob => self.all || self.members.iter().any(|member| caller.is_member(member)),
            Caller::Vera | Caller::Scheduler => false,
        }
    }

    /// `ACTIVE`, or why the connection cannot be used.
    pub fn state(&self, hour: u64) -> &'static str {
        match (&self.suspended, self.credential) {
            (Some(_), _) => "SUSPENDED",
            (None, None) => "CREDENTIAL_MISSING",
            (None, Some(expiry)) if expiry <= hour => "CREDENTIAL_EXPIRED",
            (None, Some(_)) => "ACTIVE",
        }
    }
}

impl Reference {
    /// Whether a caller may change an export.
    pub fn manages(&self, caller: Caller, export: &Export) -> bool {
        match &export.connection {
            _ if caller == Caller::Root => true,
            Ok(connection) => self.connections[connection].is_usable(caller),
            Err(_) => caller.is_member(&export.owner) && caller != Caller::Vera,
        }
    }

    /// Applies a call; returns the reason if it is refused.
    pub fn apply(&mut self, caller: Caller, op: &Op) -> Outcome<Affected> {
        self.step += 1;
        match op {
            Op::AdvanceClock { hours } => {
                self.hour += hours;
                Ok(Affected::default())
            }
            Op::SearchUsable if caller == Caller::Vera => Err(ROLE_REQUIRED),
            Op::ListRuns { export: Some(id), .. } if !self.exports.contains_key(id) => Err(NOT_FOUND),
            Op::SearchUsable | Op::ListExports { .. } | Op::ListRuns { .. } => Ok(Affected::default()),
            Op::GetRun { run } => self.find_run(run),
            Op::CreateExport { .. }
            | Op::UpdateExport { .. }
            | Op::DeleteExport { .. }
            | Op::BatchDelete { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::BatchAttach { .. }
            | Op::SetEnabled { .. } => {
                if caller == Caller::Vera {
                    return Err(ROLE_REQUIRED);
                }
                self.contribute(caller, op)
            }
            Op::RunExport { .. } | Op::BatchRun { .. } | Op::RunScheduled | Op::CancelRun { .. } => {
                if caller == Caller::Vera {
                    return Err(ROLE_REQUIRED);
                }
                self.run_or_cancel(caller, op)
            }
            _ if caller != Caller::Root => Err(ROLE_REQUIRED),
            Op::Detach { id, reason, etag } => {
                self.check_exist(std::slice::from_ref(id))?;
                check(etag)?;
                self.detach(std::slice::from_ref(id), reason, false);
                Ok(self.affected([id]))
            }
            Op::BatchDetach { ids, reason } => {
                self.check_exist(ids)?;
                let count = self.detach(ids, reason, true);
                Ok(Affected { count, ..self.affected(ids) })
            }
            Op::DetachSet { id, listed } => {
                let connection = self.connections.get(id).ok_or(NOT_FOUND)?;
                if (connection.incarnation, connection.attachments) != (listed.incarnation, listed.attachments) {
                    return Err("BLOCKING_SET_CHANGED");
                }
                let count = self.detach(&connection.attached.clone(), "", true);
                Ok(Affected { count, ..Affected::default() })
            }
            _ => self.administer(op),
        }
    }

    /// The next incarnation.
    fn next(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    fn affected<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Affected {
        let resources = ids.into_iter().map(|id| (id.clone(), self.exports[id].incarnation)).collect();
        Affected { resources, ..Affected::default() }
    }

    fn affected_connection(&self, id: &str, count: u64) -> Affected {
        Affected { resources: vec![(id.to_owned(), self.connections[id].incarnation)], count, ..Affected::default() }
    }
}

fn check(etag: &Etag) -> Outcome<()> {
    if etag.is_valid { Ok(()) } else { Err("ETAG_MISMATCH") }
}
