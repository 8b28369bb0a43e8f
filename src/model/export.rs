//! Exports: what leaves, how often, over which connection.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::json::{self, Labels, Object};
use super::schedule::{Evaluator, Schedule};
use super::token::{Etag, TokenKind};
use super::{
    Availability, ConnectionName, ConnectionTypeId, ConnectionUid, ExportName, ExportUid, Payload, ResourceId,
};

/// Whether an export can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportState {
    /// It can.
    Active,
    /// Its connection cannot be used for now.
    Blocked,
    /// It is detached.
    Inactive,
}

/// What a caller may do with an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerAccess {
    /// See it.
    View,
    /// Edit, schedule, duplicate, move and remove it as well.
    Manage,
}

/// The connection that an export is attached to, as every viewer may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Which.
    pub uid: ConnectionUid,
    /// Its name.
    pub name: ConnectionName,
    /// What people call it.
    pub display_name: String,
    /// Whether exports on it can run.
    pub availability: Availability,
    /// Numbers the attachment among those of the connection.
    pub revision: i64,
}

/// How an export lost its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detachment {
    /// Which it was attached to.
    pub connection: ConnectionUid,
    /// That connection's name then.
    pub connection_name: ConnectionName,
    /// What people called it then.
    pub connection_display_name: String,
    /// Shared by what was detached in one call.
    pub batch_id: Option<Uuid>,
    /// Who detached it.
    pub principal: String,
    /// When.
    pub time: DateTime<Utc>,
    /// In whose words.
    pub reason: String,
}

/// Attached or detached: always one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachmentState {
    /// It has a connection.
    Attached(Attachment),
    /// It has none.
    Detached(Detachment),
}

/// An export, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Its name.
    pub name: ExportName,
    /// Itself.
    pub uid: ExportUid,
    /// What people call it.
    pub display_name: String,
    /// What people say about it.
    pub description: String,
    /// The type of its connection; a detached one keeps it.
    pub connection_type: ConnectionTypeId,
    /// Attached or detached.
    pub attachment_state: AttachmentState,
    /// What leaves.
    pub payload: Payload,
    /// How often; `None`: by hand only.
    pub schedule: Option<Schedule>,
    /// The type's export settings.
    pub destination_settings: Object,
    /// When its schedule is due next, were it to run; `None`: never.
    pub next_due_time: Option<DateTime<Utc>>,
    /// What the caller may do with it.
    pub caller_access: CallerAccess,
    /// Labels.
    pub labels: Labels,
    /// Who created it.
    pub creator: String,
    /// When.
    pub create_time: DateTime<Utc>,
    /// Who last changed it.
    pub updater: String,
    /// When.
    pub update_time: DateTime<Utc>,
    /// Grows with every change by a caller.
    pub revision: i64,
}

/// What a number may take on the wire, eight bytes and three around them, beyond the two that it has at least as JSON.
const NUMBER_BYTES: usize = 9;

impl Export {
    /// Its state at this revision.
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

    /// When its schedule is due first if it begins at a time, were it to run; `None`: never, or by hand only.
    pub fn first_due_time(&self, begin: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let evaluator = evaluator(self.schedule.as_ref(), self.create_time)?;
        Some(evaluator.next_run_time(self.uid.0, begin)?.next_run_time)
    }

    /// The export with its due time moved past `now`, if the stored one has passed.
    #[must_use]
    pub fn with_due_time_after(mut self, now: DateTime<Utc>) -> Self {
        let due = self.next_due_time;
        self.next_due_time =
            due.and_then(|due| due_time_after(due, self.schedule.as_ref(), self.uid, self.create_time, now));
        self
    }

    /// Its size, as limits count it: payload, schedule, settings and labels as JSON, its texts, and for each number of a
    /// filter or setting what that may take on the wire beyond its JSON.
    pub fn bytes(&self) -> usize {
        let json = |value: serde_json::Result<String>| value.map_or(usize::MAX, |json| json.len());
        let filters = self.payload.tables.iter().flat_map(|table| &table.filters);
        let values = filters.flat_map(|filter| &filter.values).chain(self.destination_settings.values());
        [
            values.map(json::count_numbers).sum::<usize>() * NUMBER_BYTES,
            self.display_name.len(),
            self.description.len(),
            json(serde_json::to_string(&self.payload)),
            json(serde_json::to_string(&self.schedule)),
            json(serde_json::to_string(&self.destination_settings)),
            json(serde_json::to_string(&self.labels)),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// When it runs next; `None` if it will not.
    pub fn next_run_time(&self) -> Option<DateTime<Utc>> {
        self.next_due_time.filter(|_| self.state() == ExportState::Active)
    }
}

/// A stored due time or, once it has passed, the next one of its schedule; `None`: never again, or the schedule is off.
pub fn due_time_after(
    due: DateTime<Utc>,
    schedule: Option<&Schedule>,
    uid: ExportUid,
    create_time: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    if due > now {
        return Some(due);
    }
    // Jitter is shorter than the distance of two occurrences: the one behind a due time is later than that.
    Some(evaluator(schedule, create_time)?.next_run_due(uid.0, due, now)?.next_run_time)
}

/// What tells the times of a schedule that is on.
fn evaluator(schedule: Option<&Schedule>, create_time: DateTime<Utc>) -> Option<Evaluator> {
    let schedule = schedule.filter(|schedule| schedule.enabled)?;
    // What is stored was checked when it was saved.
    Evaluator::new(schedule, create_time).ok()
}

/// What a list of exports is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportFilter {
    /// Attached to this connection.
    pub connection: Option<ResourceId>,
    /// Of this type.
    pub connection_type: Option<ConnectionTypeId>,
    /// In this state.
    pub state: Option<ExportState>,
    /// Created by this principal.
    pub creator: Option<String>,
    /// With this access for the caller.
    pub caller_access: Option<CallerAccess>,
    /// Detached from the connection of this id.
    pub detached_from: Option<ResourceId>,
    /// Detached in this batch.
    pub batch_id: Option<Uuid>,
    /// With this in the display name, in any case.
    pub search: Option<String>,
}

/// Why an export left a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseCause {
    /// It was detached.
    Detached,
    /// It was attached to another connection.
    Moved,
    /// It was removed.
    Removed,
}
