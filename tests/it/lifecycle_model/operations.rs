//! The operations of a sequence.

use prost_types::Timestamp;

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
    /// The service itself; it makes no calls.
    Scheduler,
}

impl Caller {
    /// The subject of its tokens, or the name of the service.
    pub fn subject(self) -> String {
        match self {
            Self::Root => "root",
            Self::Ann => "ann",
            Self::Bob => "bob",
            Self::Vera => "vera",
            Self::Scheduler => "system:scheduler",
        }
        .to_owned()
    }

    /// Whether the caller is this user or in this group.
    pub fn is_member(self, member: &str) -> bool {
        member == format!("user:{}", self.subject()) || (self == Self::Ann && member == "group:team")
    }
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

/// The schedule of an export: due times every few hours, each a second before the hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Hours between two due times.
    pub every: u64,
    /// Hours for which a missed due time is caught up, if the schedule says so.
    pub catchup_window: Option<u64>,
    /// Whether a due time waits for the end of another run; otherwise it is skipped.
    pub waits: bool,
    /// The number of failed runs in a row that pauses the schedule.
    pub pause_after_failures: Option<u32>,
}

/// A run in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName {
    /// The number of the run in the reference.
    pub number: usize,
    pub uid: String,
    /// The id of the export in the name, or `-`.
    pub export: String,
}

/// How an attempt of a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Success,
    /// A failure after which another attempt may succeed.
    Retryable,
    /// A failure after which none can.
    Permanent,
    /// The runner stops, and gives the run back.
    Interrupted,
}

/// One call, a step of a scheduler or of a runner, or an advance of the clock. Ids are the last segments of resource names.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    CreateConnection {
        id: String,
        all: bool,
        members: Vec<String>,
        secret: bool,
        expiry: Option<Expiry>,
    },
    Describe {
        id: String,
        description: String,
        etag: Etag,
    },
    MoveEndpoint {
        id: String,
        host: String,
        secret: bool,
    },
    DeleteConnection {
        id: String,
        etag: Etag,
    },
    Share {
        id: String,
        all: bool,
        members: Vec<String>,
    },
    Unshare {
        id: String,
        all: bool,
        members: Vec<String>,
    },
    Suspend {
        id: String,
        reason: String,
    },
    Resume {
        id: String,
    },
    Rotate {
        id: String,
        expiry: Option<Expiry>,
    },
    Revoke {
        id: String,
    },
    GetConnection {
        id: String,
    },
    SearchUsable,
    Stream {
        id: String,
    },
    CreateExport {
        id: String,
        connection: String,
        enabled: bool,
        timing: Timing,
    },
    UpdateExport {
        id: String,
        description: String,
        /// The new owner, if it changes.
        owner: Option<String>,
        etag: Etag,
    },
    DeleteExport {
        id: String,
        etag: Etag,
    },
    BatchDelete {
        ids: Vec<String>,
    },
    Duplicate {
        id: String,
        copy: String,
    },
    Attach {
        id: String,
        connection: String,
        etag: Etag,
    },
    BatchAttach {
        ids: Vec<String>,
        connection: String,
    },
    Detach {
        id: String,
        reason: String,
        etag: Etag,
    },
    BatchDetach {
        ids: Vec<String>,
        reason: String,
    },
    DetachSet {
        id: String,
        listed: ListedSet,
    },
    SetEnabled {
        ids: Vec<String>,
        enabled: bool,
    },
    ListExports {
        manage: bool,
    },
    RunExport {
        id: String,
    },
    BatchRun {
        ids: Vec<String>,
    },
    RunScheduled,
    CancelRun {
        run: RunName,
    },
    GetRun {
        run: RunName,
    },
    ListRuns {
        export: Option<String>,
        state: i32,
        trigger: i32,
        connection: Option<String>,
    },
    AdvanceClock {
        hours: u64,
    },
    /// The scheduler turns passed due times into runs.
    Schedule,
    /// The runner takes the next run.
    Lease,
    /// The runner reports how the attempt of a leased run ended.
    EndAttempt {
        index: usize,
        end: End,
        rows: u64,
    },
    /// The runner renews all leases that it took.
    Renew {
        rows: u64,
    },
    /// Leases that expired end, and queued runs whose credential expired are skipped.
    EndLeases,
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
                | Self::GetRun { .. }
                | Self::ListRuns { .. }
                | Self::AdvanceClock { .. }
        ) && !self.is_background()
    }

    /// Whether it is a step of the scheduler or of a runner.
    pub fn is_background(&self) -> bool {
        matches!(self, Self::Schedule | Self::Lease | Self::EndAttempt { .. } | Self::Renew { .. } | Self::EndLeases)
    }
}
