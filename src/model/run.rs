//! Runs: executions of an export, their states, and the table of transitions between these.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::FailureCode;
use super::{ConnectionName, ConnectionTypeId, ConnectionUid, ExportUid, OrganizationId, ResourceId, TraceParent};

/// `organizations/{organization}/exports/{export}/runs/{run}`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunName {
    /// The organization that the run belongs to.
    pub organization: OrganizationId,
    /// The id of the export; `None` (`-`): any export, also one that was deleted.
    pub export: Option<ResourceId>,
    /// The uid of the run.
    pub uid: Uuid,
}

impl RunName {
    /// Parses a name.
    pub fn parse(text: &str) -> Option<Self> {
        let (organization, rest) = text.strip_prefix("organizations/")?.split_once("/exports/")?;
        let (export, run) = rest.split_once("/runs/")?;
        let export = if export == "-" { None } else { Some(ResourceId::parse(export)?) };
        let uid = Uuid::try_parse(run).ok().filter(|uid| uid.to_string() == run)?;
        Some(Self { organization: OrganizationId::parse(organization)?, export, uid })
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let export = self.export.as_ref().map_or("-", ResourceId::as_str);
        write!(formatter, "organizations/{}/exports/{export}/runs/{}", self.organization, self.uid)
    }
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunState {
    /// It waits to be leased: for the first time, or for another attempt.
    Queued,
    /// A runner holds its lease and delivers.
    Running,
    /// Everything was delivered.
    Succeeded,
    /// It ended without a result.
    Failed,
    /// It was cancelled while a runner held its lease. It ends with the runner's report or with the lease.
    Cancelling,
    /// It was cancelled.
    Cancelled,
    /// It did not start.
    Skipped,
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunTrigger {
    /// A caller.
    Manual,
    /// The schedule.
    Scheduled,
    /// The schedule, later than planned: the service was not available at the due time.
    CatchUp,
}

/// Why due times were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SkipReason {
    /// Another run of the export was unfinished.
    Overlap,
    /// The service was not available, and a later due time is caught up or the catch-up window has passed.
    Missed,
    /// The connection was suspended.
    ConnectionSuspended,
    /// The connection had no credential, or its type was unknown.
    CredentialRequired,
    /// The credential of the connection had expired.
    CredentialExpired,
    /// No runner executes runs of the connection type.
    NoRunner,
}

/// What changes the state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEvent {
    /// A runner leases it.
    Lease,
    /// A caller cancels it, or its export is detached, moved or deleted.
    Cancel,
    /// Its connection becomes unavailable: suspended, or without a credential.
    Block,
    /// The runner reports that everything was delivered.
    Succeed,
    /// The runner reports a failure, and another attempt follows.
    Retry,
    /// The runner reports a failure that ends the run.
    Fail,
    /// The lease expired or was given back, without a failure of the run.
    Release,
}

impl RunState {
    /// The state after an event; `None` if the event is not possible in this state.
    pub fn after(self, event: RunEvent) -> Option<Self> {
        use RunEvent::{Block, Cancel, Fail, Lease, Release, Retry, Succeed};
        match (self, event) {
            (Self::Queued, Lease) => Some(Self::Running),
            (Self::Queued, Block) => Some(Self::Skipped),
            (Self::Running | Self::Cancelling, Cancel | Block) => Some(Self::Cancelling),
            // A commit that began before the cancellation may still succeed.
            (Self::Running | Self::Cancelling, Succeed) => Some(Self::Succeeded),
            (Self::Running, Fail) => Some(Self::Failed),
            (Self::Running, Retry | Release) => Some(Self::Queued),
            (Self::Queued, Cancel) | (Self::Cancelling, Fail | Retry | Release) => Some(Self::Cancelled),
            (Self::Queued, Succeed | Retry | Fail | Release)
            | (Self::Running | Self::Cancelling, Lease)
            | (Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped, _) => None,
        }
    }

    /// Whether it never changes again.
    pub fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Cancelling => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped => true,
        }
    }
}

/// The counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStats {
    /// Rows read from the datasets, before filters.
    pub rows_read: u64,
    /// Rows written.
    pub rows_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Complete files.
    pub files: u64,
    /// Rows that the datasets have, as their sources estimate them.
    pub rows_estimated: Option<u64>,
}

/// Why a run or an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFailure {
    /// The code, for callers.
    pub code: FailureCode,
    /// The cause, for administrators.
    pub detail: String,
}

/// A run of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Resource name; without an export if that was deleted.
    pub name: RunName,
    /// Uid of the export.
    pub export: ExportUid,
    /// Display name of the export when the run was created.
    pub export_display_name: String,
    /// Whether it waits, is delivered, or how it ended.
    pub state: RunState,
    /// What started it.
    pub trigger: RunTrigger,
    /// Why it was skipped.
    pub skip_reason: Option<SkipReason>,
    /// Due times that the run represents: 0 for a manual run, 1 for a scheduled one, more only if they were skipped.
    pub due_count: u64,
    /// Principal that started it.
    pub principal: String,
    /// The due time without jitter, or the first of the skipped ones; `None` for a manual run.
    pub schedule_time: Option<DateTime<Utc>>,
    /// The last of the skipped due times.
    pub last_schedule_time: Option<DateTime<Utc>>,
    /// Creation time.
    pub create_time: DateTime<Utc>,
    /// Start of the first attempt.
    pub start_time: Option<DateTime<Utc>>,
    /// End of the run.
    pub end_time: Option<DateTime<Utc>>,
    /// Uid of the connection that it delivers to.
    pub connection: ConnectionUid,
    /// Name of that connection when the run was created.
    pub connection_name: ConnectionName,
    /// Type of that connection.
    pub connection_type: ConnectionTypeId,
    /// Revision of the export that the last attempt used.
    pub export_revision: i64,
    /// Number of attempts that were started; the fence of the current lease.
    pub attempt: u32,
    /// Earliest time of the next attempt, while it waits for one.
    pub next_attempt_time: Option<DateTime<Utc>>,
    /// Counts of the last attempt.
    pub stats: RunStats,
    /// Why it failed or, between attempts, why the last attempt failed.
    pub failure: Option<RunFailure>,
    /// The trace and the span of the call that started it.
    pub trace_parent: Option<TraceParent>,
}

/// Filter for listing runs; unset fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Belongs to the export with this id.
    pub export: Option<ResourceId>,
    /// Is in this state.
    pub state: Option<RunState>,
    /// Has this trigger.
    pub trigger: Option<RunTrigger>,
    /// Delivers to the connection with this id.
    pub connection: Option<ResourceId>,
    /// Was created at or after this time.
    pub start_time: Option<DateTime<Utc>>,
    /// Was created before this time.
    pub end_time: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [RunState; 7] = [
        RunState::Queued,
        RunState::Running,
        RunState::Succeeded,
        RunState::Failed,
        RunState::Cancelling,
        RunState::Cancelled,
        RunState::Skipped,
    ];
    const EVENTS: [RunEvent; 7] = [
        RunEvent::Lease,
        RunEvent::Cancel,
        RunEvent::Block,
        RunEvent::Succeed,
        RunEvent::Retry,
        RunEvent::Fail,
        RunEvent::Release,
    ];

    #[test]
    fn a_final_state_never_changes_and_every_other_state_can_end() {
        for state in STATES {
            let reachable: Vec<_> = EVENTS.iter().filter_map(|event| state.after(*event)).collect();
            assert_eq!(reachable.is_empty(), state.is_final(), "{state:?}");
            assert!(state.is_final() || reachable.iter().any(|next| next.is_final()), "{state:?}");
        }
    }

    #[test]
    fn a_cancelled_run_is_never_queued_or_leased_again() {
        for event in EVENTS {
            let next = RunState::Cancelling.after(event);
            assert!(!matches!(next, Some(RunState::Queued | RunState::Running | RunState::Failed)), "{event:?}");
        }
    }
}
