//! The rules once more, written apart from the product: small, slow, and in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::{Etag, Op, Who};

mod administer;
mod contribute;

#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Another for each connection that ever had the id.
    pub incarnation: u64,
    pub description: String,
    pub host: String,
    pub all: bool,
    pub members: BTreeSet<String>,
    pub suspended: Option<String>,
    /// In which hour the stored credential ends.
    pub credential: Option<u64>,
    pub credential_revision: i64,
    /// In order of attachment.
    pub attached: Vec<String>,
    pub attachments: u64,
    pub revision: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Detached {
    pub from: String,
    pub reason: String,
    /// Whether it was one of a batch.
    pub batch: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub incarnation: u64,
    pub display_name: String,
    pub description: String,
    pub creator: Who,
    pub updater: Who,
    pub connection: Result<String, Detached>,
    pub enabled: bool,
    pub revision: u64,
}

/// What a change was about, so that its answer can be told again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// Ids and incarnations.
    pub resources: Vec<(String, u64)>,
    pub count: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    pub connections: BTreeMap<String, Connection>,
    pub exports: BTreeMap<String, Export>,
    pub hour: u64,
    made: u64,
}

/// When a credential ends that does not.
pub const NEVER: u64 = u64::MAX;
const ROLE: &str = "ROLE_REQUIRED";
const RIGHT: &str = "NOT_PERMITTED";
const ABSENT: &str = "RESOURCE_NOT_FOUND";

type Outcome<T> = Result<T, &'static str>;

impl Connection {
    pub fn is_usable(&self, who: Who) -> bool {
        let has = |member: &str| self.members.contains(member);
        match who {
            Who::Root => true,
            Who::Ann => self.all || has("user:ann") || has("group:team"),
            Who::Bob => self.all || has("user:bob"),
            Who::Vera => false,
        }
    }

    /// `ACTIVE`, or why not.
    pub fn condition(&self, hour: u64) -> &'static str {
        match (&self.suspended, self.credential) {
            (Some(_), _) => "SUSPENDED",
            (None, None) => "CREDENTIAL_MISSING",
            (None, Some(end)) if end <= hour => "CREDENTIAL_EXPIRED",
            (None, Some(_)) => "ACTIVE",
        }
    }
}

impl Reference {
    pub fn manages(&self, who: Who, export: &Export) -> bool {
        match &export.connection {
            _ if who == Who::Root => true,
            Ok(connection) => self.connections[connection].is_usable(who),
            Err(_) => who == export.creator && who != Who::Vera,
        }
    }

    /// What a call does, or the reason for which it is refused.
    pub fn apply(&mut self, who: Who, op: &Op) -> Outcome<Effect> {
        match op {
            Op::Later { hours } => {
                self.hour += hours;
                Ok(Effect::default())
            }
            Op::SearchUsable if who == Who::Vera => Err(ROLE),
            Op::SearchUsable | Op::ListExports { .. } => Ok(Effect::default()),
            Op::CreateExport { .. }
            | Op::DescribeExport { .. }
            | Op::DeleteExport { .. }
            | Op::DeleteExports { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::AttachMany { .. }
            | Op::Switch { .. } => {
                if who == Who::Vera {
                    return Err(ROLE);
                }
                self.contribute(who, op)
            }
            _ if who != Who::Root => Err(ROLE),
            Op::Detach { id, reason, etag } => {
                self.find(std::slice::from_ref(id))?;
                check(etag)?;
                self.detach(std::slice::from_ref(id), reason, false);
                Ok(self.effect([id]))
            }
            Op::DetachMany { ids, reason } => {
                self.find(ids)?;
                let count = self.detach(ids, reason, true);
                Ok(Effect { count, ..self.effect(ids) })
            }
            Op::DetachSet { id, shown } => {
                let connection = self.connections.get(id).ok_or(ABSENT)?;
                if (connection.incarnation, connection.attachments) != (shown.incarnation, shown.attachments) {
                    return Err("BLOCKING_SET_CHANGED");
                }
                let count = self.detach(&connection.attached.clone(), "", true);
                Ok(Effect { resources: Vec::new(), count })
            }
            _ => self.administer(op),
        }
    }

    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    fn effect<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Effect {
        let resources = ids.into_iter().map(|id| (id.clone(), self.exports[id].incarnation)).collect();
        Effect { resources, count: 0 }
    }

    fn effect_of_connection(&self, id: &str, count: u64) -> Effect {
        Effect { resources: vec![(id.to_owned(), self.connections[id].incarnation)], count }
    }
}

fn check(etag: &Etag) -> Outcome<()> {
    if etag.good { Ok(()) } else { Err("ETAG_MISMATCH") }
}
