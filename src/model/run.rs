//! Runs: executions of an export, their states, and the table of transitions between these.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ConnectionName, ConnectionTypeId, ConnectionUid, ExportUid, OrganizationId, ResourceId};

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
            (Self::Queued, Cancel) => Some(Self::Cancelled),
            (Self::Queued, Block) => Some(Self::Skipped),
            (Self::Running | Self::Cancelling, Cancel | Block) => Some(Self::Cancelling),
            // A commit that began before the cancellation may still succeed.
            (Self::Running | Self::Cancelling, Succeed) => Some(Self::Succeeded),
            (Self::Running, Fail) => Some(Self::Failed),
            (Self::Running, Retry | Release) => Some(Self::Queued),
            (Self::Cancelling, Fail | Retry | Release) => Some(Self::Cancelled),
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
    /// State.
    pub state: RunState,
    /// What started it.
    pub trigger: RunTrigger,
    /// Why it was skipped.
    pub skip_reason: Option<SkipReason>,
    /// How many due times it stands for; more than one only if they were skipped. At most one more than the scheduler counts.
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

/// Why a run or a check of a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// The destination did not respond: no such host, connection refused, timed out or ended.
    DestinationUnreachable,
    /// TLS could not be established, or the certificate is not trusted.
    TlsFailed,
    /// The host key of the server is not the configured one.
    HostKeyMismatch,
    /// The destination does not accept the credential.
    AuthenticationFailed,
    /// The credential lacks a permission at the destination.
    DestinationDenied,
    /// The destination has no space left, or a quota is used up.
    DestinationFull,
    /// The destination refused the data or the request.
    DestinationRefused,
    /// The destination limits the rate of requests.
    DestinationThrottled,
    /// The address of the destination is not permitted.
    AddressForbidden,
    /// The organization has no source of datasets.
    DatasetNotConfigured,
    /// The source of the dataset did not respond, or the dataset does not exist.
    DatasetUnavailable,
    /// The dataset changed while it was read.
    SourceChanged,
    /// The dataset no longer has a field of the payload.
    FieldMissing,
    /// A field no longer has a type that the payload can use.
    FieldTypeChanged,
    /// A value cannot be represented in the format of the destination.
    ValueNotEncodable,
    /// A limit of the service or of the destination was exceeded.
    LimitExceeded,
    /// The run took longer than permitted.
    TimedOut,
    /// The runner lost its lease.
    LeaseLost,
    /// The connection has no valid credential.
    CredentialRequired,
    /// No runner executes runs of this connection type.
    NoRunner,
    /// A fault of the service.
    Internal,
}

impl FailureCode {
    /// The code as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DestinationUnreachable => "DESTINATION_UNREACHABLE",
            Self::TlsFailed => "TLS_FAILED",
            Self::HostKeyMismatch => "HOST_KEY_MISMATCH",
            Self::AuthenticationFailed => "AUTHENTICATION_FAILED",
            Self::DestinationDenied => "DESTINATION_DENIED",
            Self::DestinationFull => "DESTINATION_FULL",
            Self::DestinationRefused => "DESTINATION_REFUSED",
            Self::DestinationThrottled => "DESTINATION_THROTTLED",
            Self::AddressForbidden => "ADDRESS_FORBIDDEN",
            Self::DatasetNotConfigured => "DATASET_NOT_CONFIGURED",
            Self::DatasetUnavailable => "DATASET_UNAVAILABLE",
            Self::SourceChanged => "SOURCE_CHANGED",
            Self::FieldMissing => "FIELD_MISSING",
            Self::FieldTypeChanged => "FIELD_TYPE_CHANGED",
            Self::ValueNotEncodable => "VALUE_NOT_ENCODABLE",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::TimedOut => "TIMED_OUT",
            Self::LeaseLost => "LEASE_LOST",
            Self::CredentialRequired => "CREDENTIAL_REQUIRED",
            Self::NoRunner => "NO_RUNNER",
            Self::Internal => "INTERNAL",
        }
    }

    /// What happened and what to do, for callers. It names no property of a connection.
    pub fn advice(self) -> &'static str {
        match self {
            Self::DestinationUnreachable => {
                "The destination did not respond. It is tried again; check that it is running."
            }
            Self::TlsFailed => {
                "TLS with the destination failed. Ask an administrator to check its certificate and the connection."
            }
            Self::HostKeyMismatch => {
                "The host key of the server is not the configured one. Ask an administrator to verify it, and to update \
                 the connection if the server has a new key."
            }
            Self::AuthenticationFailed => {
                "The destination does not accept the credential. Ask an administrator to store a valid one."
            }
            Self::DestinationDenied => {
                "The credential lacks a permission at the destination. Ask an administrator to grant it there."
            }
            Self::DestinationFull => "The destination has no space left. It is tried again; free some space there.",
            Self::DestinationRefused => {
                "The destination refused the data. Compare the export and its settings with what the destination accepts."
            }
            Self::DestinationThrottled => {
                "The destination limits the rate of requests. It is tried again; run fewer exports at the same time."
            }
            Self::AddressForbidden => {
                "The address of the destination is not permitted. Ask the operator of the service to permit it."
            }
            Self::DatasetNotConfigured => {
                "The organization has no source of datasets. Ask the operator of the service to configure one."
            }
            Self::DatasetUnavailable => "The source of the datasets did not respond. It is tried again.",
            Self::SourceChanged => "A dataset changed while it was read. It is tried again.",
            Self::FieldMissing => "A table or field of the payload does not exist any more. Update the payload.",
            Self::FieldTypeChanged => "A field has another type than the payload needs. Update the payload.",
            Self::ValueNotEncodable => {
                "A value cannot be written in the format of the destination. Choose another format, or leave the field out."
            }
            Self::LimitExceeded => "A limit was exceeded. Export fewer rows or fields at once.",
            Self::TimedOut => "The run took longer than permitted. Export fewer rows at once.",
            Self::LeaseLost => "The runner stopped responding. It is tried again.",
            Self::CredentialRequired => "The connection has no valid credential. Ask an administrator to store one.",
            Self::NoRunner => "No runner delivers to connections of this type. Ask the operator of the service.",
            Self::Internal => {
                "The service failed. It is tried again; report the name of the run if it fails repeatedly."
            }
        }
    }

    /// Whether another attempt can succeed without a change by a person.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::DestinationUnreachable
            | Self::DestinationFull
            | Self::DestinationThrottled
            | Self::DatasetUnavailable
            | Self::SourceChanged
            | Self::LeaseLost
            | Self::Internal => true,
            Self::TlsFailed
            | Self::HostKeyMismatch
            | Self::AuthenticationFailed
            | Self::DestinationDenied
            | Self::DestinationRefused
            | Self::AddressForbidden
            | Self::DatasetNotConfigured
            | Self::FieldMissing
            | Self::FieldTypeChanged
            | Self::ValueNotEncodable
            | Self::LimitExceeded
            | Self::TimedOut
            | Self::CredentialRequired
            | Self::NoRunner => false,
        }
    }
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
