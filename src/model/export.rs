//! Exports: which data leaves, on which schedule, over which connection.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::json::{self, Labels, Object};
use super::schedule::{Evaluator, Schedule, ScheduleCompiler};
use super::token::{Etag, TokenKind};
use super::{
    Availability, ConnectionName, ConnectionTypeId, ConnectionUid, ExportName, ExportUid, FailureCode, Member, Payload,
    ResourceId, RunState,
};

/// Whether an export can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportState {
    /// Its connection can be used.
    Active,
    /// Its connection cannot be used at present.
    Blocked,
    /// It is detached.
    Inactive,
}

/// What the caller may do with an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerAccess {
    /// The caller may read it.
    View,
    /// The caller may also edit, schedule, duplicate, reattach and delete it.
    Manage,
}

/// The connection that an export is attached to, as every viewer may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Uid of the connection.
    pub uid: ConnectionUid,
    /// Resource name of the connection.
    pub name: ConnectionName,
    /// Display name of the connection.
    pub display_name: String,
    /// Whether exports on the connection can run and, if not, why.
    pub availability: Availability,
    /// Position of this attachment in the connection's sequence of attachments and releases.
    pub revision: i64,
}

/// How a detached export lost its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detachment {
    /// Uid of the connection that it was attached to.
    pub connection: ConnectionUid,
    /// Resource name of that connection at the time.
    pub connection_name: ConnectionName,
    /// Display name of that connection at the time.
    pub connection_display_name: String,
    /// Shared by all exports detached in one call.
    pub batch_id: Option<Uuid>,
    /// Principal that detached it.
    pub principal: String,
    /// Time of the detachment.
    pub time: DateTime<Utc>,
    /// Reason given by the administrator.
    pub reason: String,
}

/// The pause of a schedule after failed runs. Switching the schedule on ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulePause {
    /// Since when.
    pub time: DateTime<Utc>,
    /// How many runs in a row failed.
    pub failures: u32,
}

/// An export is either attached or detached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachmentState {
    /// It is attached to a connection.
    Attached(Attachment),
    /// It is detached.
    Detached(Detachment),
}

/// An export.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Resource name.
    pub name: ExportName,
    /// Unique id, never reused.
    pub uid: ExportUid,
    /// Display name.
    pub display_name: String,
    /// Free-form description.
    pub description: String,
    /// Type of its connection; kept when it is detached.
    pub connection_type: ConnectionTypeId,
    /// Attached or detached.
    pub attachment_state: AttachmentState,
    /// The data to export.
    pub payload: Payload,
    /// When it runs; `None` if it has no schedule.
    pub schedule: Option<Schedule>,
    /// Values of the type's export settings.
    pub destination_settings: Object,
    /// What the paths of its file have in common in all runs, if another export could write the same file.
    pub file_name: Option<String>,
    /// Set while its schedule is paused because of failed runs.
    pub schedule_pause: Option<SchedulePause>,
    /// Next due time of its schedule, ignoring its state; `None` if there is none.
    pub next_due_time: Option<DateTime<Utc>>,
    /// What the caller may do with it.
    pub caller_access: CallerAccess,
    /// Labels by key.
    pub labels: Labels,
    /// Principal that created it.
    pub creator: String,
    /// Manages it while it is detached.
    pub owner: Member,
    /// Creation time.
    pub create_time: DateTime<Utc>,
    /// Principal that last changed it.
    pub updater: String,
    /// Time of the last change.
    pub update_time: DateTime<Utc>,
    /// Incremented with every change by a caller; basis of the etag.
    pub revision: i64,
    /// The newest run. It is read for responses only.
    pub last_run: Option<LastRun>,
}

/// The newest run of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// Uid of the run.
    pub uid: Uuid,
    /// State of the run.
    pub state: RunState,
    /// Creation time.
    pub create_time: DateTime<Utc>,
    /// When it ended.
    pub end_time: Option<DateTime<Utc>>,
    /// Why it failed.
    pub failure: Option<FailureCode>,
}

/// Maximum bytes of a number in protobuf (8 and 3 of framing) beyond the 2 or more that it has in JSON.
const NUMBER_BYTES: usize = 9;

impl Export {
    /// The etag of this revision.
    pub fn etag(&self) -> String {
        Etag { uid: self.uid.0, revision: self.revision }.encode(TokenKind::Etag)
    }

    /// Whether it can run.
    pub fn state(&self) -> ExportState {
        match &self.attachment_state {
            AttachmentState::Detached(_) => ExportState::Inactive,
            AttachmentState::Attached(attachment) if attachment.availability == Availability::Active => {
                ExportState::Active
            }
            AttachmentState::Attached(_) => ExportState::Blocked,
        }
    }

    /// The connection that it is attached to.
    pub fn attachment(&self) -> Option<&Attachment> {
        match &self.attachment_state {
            AttachmentState::Attached(attachment) => Some(attachment),
            AttachmentState::Detached(_) => None,
        }
    }

    /// First due time of its schedule after `begin`, ignoring its state; `None` if there is none.
    pub fn first_due_time(&self, schedules: &ScheduleCompiler, begin: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let schedule = self.schedule.as_ref().filter(|_| self.schedule_pause.is_none());
        let evaluator = evaluator(schedules, schedule, self.create_time)?;
        Some(evaluator.next_run_time(self.uid.0, begin)?.next_run_time)
    }

    /// The export with its due time advanced past `now`, if the stored one has passed.
    #[must_use]
    pub fn with_due_time_after(mut self, schedules: &ScheduleCompiler, now: DateTime<Utc>) -> Self {
        let due = self.next_due_time;
        self.next_due_time =
            due.and_then(|due| due_time_after(schedules, due, self.schedule.as_ref(), self.uid, self.create_time, now));
        self
    }

    /// Its size in bytes, as limits count it: texts, and payload, schedule, settings and labels as JSON, plus for each
    /// number in a filter or setting the bytes that its protobuf form may need beyond its JSON form.
    pub fn bytes(&self) -> usize {
        let filters = self.payload.tables.iter().flat_map(|table| &table.filters);
        let values = filters.flat_map(|filter| &filter.values).chain(self.destination_settings.values());
        [
            values.map(json::count_numbers).sum::<usize>() * NUMBER_BYTES,
            self.display_name.len(),
            self.description.len(),
            self.payload.encoded_len(),
            json::encoded_len(&self.schedule),
            json::encoded_len(&self.destination_settings),
            json::encoded_len(&self.labels),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Next time at which it runs; `None` if it will not run.
    pub fn next_run_time(&self) -> Option<DateTime<Utc>> {
        self.next_due_time.filter(|_| self.state() == ExportState::Active)
    }
}

/// A stored due time that is after `now` or, once it has passed, the next due time of the schedule; `None` if the
/// schedule is disabled or has no further occurrence.
pub fn due_time_after(
    schedules: &ScheduleCompiler,
    due: DateTime<Utc>,
    schedule: Option<&Schedule>,
    uid: ExportUid,
    create_time: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if due > now {
        return Some(due);
    }
    Some(evaluator(schedules, schedule, create_time)?.next_run_due(uid.0, now)?.next_run_time)
}

/// The evaluator of an enabled schedule.
fn evaluator(
    schedules: &ScheduleCompiler,
    schedule: Option<&Schedule>,
    create_time: DateTime<Utc>,
) -> Option<Evaluator> {
    let schedule = schedule.filter(|schedule| schedule.enabled)?;
    // Stored schedules were checked when they were saved.
    schedules.compile(schedule, create_time).ok()
}

/// Filter for listing exports; unset fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// Is attached to this connection.
    pub connection: Option<ResourceId>,
    /// Has this connection type.
    pub connection_type: Option<ConnectionTypeId>,
    /// Is in this state.
    pub state: Option<ExportState>,
    /// Was created by this principal.
    pub creator: Option<String>,
    /// The caller has this access to it.
    pub caller_access: Option<CallerAccess>,
    /// Was detached from the connection with this id.
    pub detached_from: Option<ResourceId>,
    /// Was detached in this batch.
    pub batch_id: Option<Uuid>,
    /// The display name contains this text, ignoring case.
    pub search: Option<String>,
}

/// Why an export is no longer attached to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseCause {
    /// It was detached.
    Detached,
    /// It was attached to another connection.
    Moved,
    /// It was deleted.
    Removed,
}
