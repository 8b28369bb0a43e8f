//! What may happen, and what happens next.

use prost_types::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// An administrator.
    Root,
    /// A contributor, in the group `team`.
    Ann,
    /// A contributor.
    Bob,
    /// A viewer.
    Vera,
}

/// An etag in a request, and whether it is the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag {
    pub text: String,
    pub good: bool,
}

/// When a credential ends: in how many hours, and what the request says.
#[derive(Clone, Debug, PartialEq)]
pub struct Expiry {
    pub hours: u64,
    pub time: Timestamp,
}

/// One call, or the passing of time. Ids are last segments.
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
    DeleteExports { ids: Vec<String> },
    Duplicate { id: String, copy: String },
    Attach { id: String, connection: String, etag: Etag },
    AttachMany { ids: Vec<String>, connection: String },
    Detach { id: String, reason: String, etag: Etag },
    DetachMany { ids: Vec<String>, reason: String },
    DetachSet { id: String, shown: Shown },
    Switch { ids: Vec<String>, enabled: bool },
    ListExports { manage: bool },
    Later { hours: u64 },
}

/// A set of blocking exports as a caller saw it at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub etag: String,
    /// The connection that it was shown for: one that has its id now may be another.
    pub incarnation: u64,
    /// How many attachments there had been.
    pub attachments: u64,
}

impl Op {
    /// The connection that it is about, if that is what it is about.
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

    /// Whether a request of it has an id.
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            Self::GetConnection { .. }
                | Self::SearchUsable
                | Self::Stream { .. }
                | Self::ListExports { .. }
                | Self::Later { .. }
        )
    }
}

/// Chooses what happens next.
pub struct Chooser<'a> {
    pub random: &'a mut StdRng,
    /// Of a resource by its id, and whether it is the present one.
    pub etag: &'a dyn Fn(&str, u32) -> Etag,
    /// When a credential would end.
    pub time: &'a dyn Fn(u64) -> Timestamp,
    /// Sets that were shown before, by connections.
    pub shown: &'a [(String, Shown)],
    /// The connections and exports that are there.
    pub present: [Vec<&'a String>; 2],
}

impl Chooser<'_> {
    /// Whose call it is: mostly somebody's who may.
    pub fn who(&mut self, op: &Op) -> Who {
        let roll = self.random.random_range(0..100);
        match op {
            Op::SearchUsable
            | Op::ListExports { .. }
            | Op::CreateExport { .. }
            | Op::DescribeExport { .. }
            | Op::DeleteExport { .. }
            | Op::DeleteExports { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::AttachMany { .. }
            | Op::Switch { .. } => match roll {
                0..30 => Who::Root,
                30..70 => Who::Ann,
                70..95 => Who::Bob,
                _ => Who::Vera,
            },
            _ => match roll {
                0..94 => Who::Root,
                94..98 => Who::Ann,
                _ => Who::Vera,
            },
        }
    }

    pub fn next(&mut self) -> Op {
        let (id, connection) = (self.export(), self.connection());
        // Where there is little, there is little to do.
        let roll = match &self.present {
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
            3 => Op::Describe { description: self.words(), etag: self.etag(&connection), id: connection },
            4 => Op::MoveEndpoint { id: connection, host: self.host(), secret: self.random.random_bool(0.5) },
            5 | 6 => Op::DeleteConnection { etag: self.etag(&connection), id: connection },
            7 | 8 => Op::Share { id: connection, all: self.random.random_bool(0.3), members: self.some_members() },
            9 => Op::Unshare { id: connection, all: self.random.random_bool(0.5), members: self.some_members() },
            10 => Op::Suspend { id: connection, reason: self.words() },
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
            22 => Op::DescribeExport { description: self.words(), etag: self.etag(&id), id },
            23 => Op::DeleteExport { etag: self.etag(&id), id },
            24 => Op::DeleteExports { ids: self.exports() },
            25 => Op::Duplicate { id, copy: format!("x{}", self.random.random_range(0..6)) },
            26..=28 => Op::Attach { etag: self.etag(&id), id, connection },
            29 => Op::AttachMany { ids: self.exports(), connection },
            30 | 31 => Op::Detach { etag: self.etag(&id), id, reason: self.words() },
            32 => Op::DetachMany { ids: self.exports(), reason: self.words() },
            33 | 34 => match self.shown.last() {
                // Mostly of the set that was shown last.
                Some((id, shown)) if self.random.random_bool(0.7) => {
                    Op::DetachSet { id: id.clone(), shown: shown.clone() }
                }
                Some(_) => {
                    let (id, shown) = &self.shown[self.random.random_range(0..self.shown.len())];
                    Op::DetachSet { id: id.clone(), shown: shown.clone() }
                }
                None => Op::Stream { id: connection },
            },
            35 => Op::Switch { ids: self.exports(), enabled: self.random.random_bool(0.5) },
            36 => Op::ListExports { manage: self.random.random_bool(0.5) },
            _ => Op::Later { hours: self.random.random_range(1..=2) },
        }
    }

    /// Mostly one that is there.
    fn connection(&mut self) -> String {
        self.one_of(0).unwrap_or_else(|| format!("c{}", self.random.random_range(0..3)))
    }

    fn export(&mut self) -> String {
        self.one_of(1).unwrap_or_else(|| format!("x{}", self.random.random_range(0..6)))
    }

    fn one_of(&mut self, kind: usize) -> Option<String> {
        let present = &self.present[kind];
        let wanted = !present.is_empty() && self.random.random_bool(0.93);
        wanted.then(|| present[self.random.random_range(0..present.len())].clone())
    }

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

    fn some_members(&mut self) -> Vec<String> {
        let members = self.members();
        if members.is_empty() { vec!["user:ann".to_owned()] } else { members }
    }

    fn words(&mut self) -> String {
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
