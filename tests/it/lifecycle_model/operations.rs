//! The operations of a sequence, and their random choice.

use prost_types::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;

/// The callers of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// An administrator.
    Root,
    /// A contributor, in the group `team`.
    Ann,
    /// A contributor.
    Bob,
    /// A viewer.
    Vera,
}

/// An etag in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag {
    pub text: String,
    /// Whether it is empty or the current one, so that the request must be accepted.
    pub is_valid: bool,
}

/// When a credential expires.
#[derive(Clone, Debug, PartialEq)]
pub struct Expiry {
    /// Hours from now.
    pub hours: u64,
    /// The same time, as in the request.
    pub time: Timestamp,
}

/// One call, or an advance of the clock. Ids are the last segments of resource names.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    CreateConnection { id: String, all: bool, members: Vec<String>, secret: bool, expiry: Option<Expiry> },
    Describe { id: String, description: String, etag: Etag },
    MoveEndpoint { id: String, host: String, secret: bool },
    DeleteConnection { id: String, etag: Etag },
    Share { id: String, all: bool, members: Vec<String> },
    Unshare { id: String, all: bool, members: Vec<String> },
    Suspend { id: String, reason: String },
    Resume { id: String },
    Rotate { id: String, expiry: Option<Expiry> },
    Revoke { id: String },
    GetConnection { id: String },
    SearchUsable,
    Stream { id: String },
    CreateExport { id: String, connection: String, enabled: bool },
    DescribeExport { id: String, description: String, etag: Etag },
    DeleteExport { id: String, etag: Etag },
    BatchDelete { ids: Vec<String> },
    Duplicate { id: String, copy: String },
    Attach { id: String, connection: String, etag: Etag },
    BatchAttach { ids: Vec<String>, connection: String },
    Detach { id: String, reason: String, etag: Etag },
    BatchDetach { ids: Vec<String>, reason: String },
    DetachSet { id: String, listed: ListedSet },
    SetEnabled { ids: Vec<String>, enabled: bool },
    ListExports { manage: bool },
    AdvanceClock { hours: u64 },
}

/// The blocking set of a connection, as it was reported at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSet {
    pub etag: String,
    /// The incarnation of the connection; a new connection may have the same id.
    pub incarnation: u64,
    /// How many exports had been attached by then.
    pub attachments: u64,
}

impl Op {
    /// The id of the connection that an operation on a connection names.
    pub fn connection(&self) -> Option<&String> {
        match self {
            Self::Describe { id, .. }
            | Self::MoveEndpoint { id, .. }
            | Self::DeleteConnection { id, .. }
            | Self::Share { id, .. }
            | Self::Unshare { id, .. }
            | Self::Suspend { id, .. }
            | Self::Resume { id }
            | Self::Rotate { id, .. }
            | Self::Revoke { id }
            | Self::GetConnection { id }
            | Self::Stream { id } => Some(id),
            _ => None,
        }
    }

    /// Whether it is a change: its request may have a request id.
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            Self::GetConnection { .. }
                | Self::SearchUsable
                | Self::Stream { .. }
                | Self::ListExports { .. }
                | Self::AdvanceClock { .. }
        )
    }
}

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
}

impl Chooser<'_> {
    /// Chooses the caller, mostly one that has the required role.
    pub fn choose_caller(&mut self, op: &Op) -> Caller {
        let roll = self.random.random_range(0..100);
        match op {
            Op::SearchUsable
            | Op::ListExports { .. }
            | Op::CreateExport { .. }
            | Op::DescribeExport { .. }
            | Op::DeleteExport { .. }
            | Op::BatchDelete { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::BatchAttach { .. }
            | Op::SetEnabled { .. } => match roll {
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
            _ => self.random.random_range(0..38),
        };
        match roll {
            0..=2 => {
                let connection = format!("c{}", self.random.random_range(0..3));
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
                let id = format!("x{}", self.random.random_range(0..6));
                Op::CreateExport { id, connection, enabled: self.random.random_bool(0.5) }
            }
            22 => Op::DescribeExport { description: self.text(), etag: self.etag(&id), id },
            23 => Op::DeleteExport { etag: self.etag(&id), id },
            24 => Op::BatchDelete { ids: self.exports() },
            25 => Op::Duplicate { id, copy: format!("x{}", self.random.random_range(0..6)) },
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
            _ => Op::AdvanceClock { hours: self.random.random_range(1..=2) },
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
