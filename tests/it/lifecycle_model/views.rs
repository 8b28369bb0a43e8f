//! Views of responses that the product and the reference have in common. Values that only the product knows (uids,
//! times, etags) are cleared, or replaced by whether they are set.

use chrono::{DateTime, Utc};
use outflow::grpc::proto as pb;
use prost_types::Timestamp;

use super::operations::{Caller, Op, Timing};
use super::reference::{Affected, Connection, Export, NEVER, Reference};
use crate::support::{object, sftp, text};

/// The part of a response that the reference can predict.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseView {
    Nothing,
    Connection(Box<pb::Connection>, i64),
    Export(Box<pb::Export>),
    Batch(Vec<(String, i32)>, i64),
    Usable(Vec<pb::UsableConnection>),
    Exports(Vec<pb::Export>),
    Stream(Vec<(String, String, String, i32)>, i64),
    Run(Box<pb::ExportRun>),
    Runs(Vec<pb::ExportRun>),
    /// The runs of a batch, and the exports that were left out.
    Started(Vec<pb::ExportRun>, Vec<String>),
}

/// The organization of a sequence; builds the names of its resources.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: String,
    /// The time at which the sequence began, in whole seconds.
    pub begin: DateTime<Utc>,
}

impl Organization {
    pub fn parent(&self) -> String {
        format!("organizations/{}", self.id)
    }

    /// A due time: a second before the beginning of an hour of the sequence.
    pub fn due_time(&self, hour: u64) -> Timestamp {
        Timestamp {
            seconds: self.begin.timestamp() + 3_600 * i64::try_from(hour).expect("a small number") - 1,
            nanos: 0,
        }
    }

    pub fn schedule(&self, timing: &Timing, enabled: bool) -> pb::Schedule {
        let hours = |hours: u64| prost_types::Duration {
            seconds: 3_600 * i64::try_from(hours).expect("a small number"),
            nanos: 0,
        };
        let interval = pb::schedule::Interval { every: Some(hours(timing.every)), anchor: Some(self.due_time(0)) };
        let policy =
            if timing.waits { pb::schedule::OverlapPolicy::BufferOne } else { pb::schedule::OverlapPolicy::Skip };
        pb::Schedule {
            timing: Some(pb::schedule::Timing::Interval(interval)),
            enabled,
            overlap_policy: policy.into(),
            catchup_window: timing.catchup_window.map(hours),
            pause_after_failures: timing.pause_after_failures.map_or(0, u32::cast_signed),
            ..pb::Schedule::default()
        }
    }

    pub fn connection(&self, id: &str) -> String {
        format!("organizations/{}/connections/{id}", self.id)
    }

    pub fn export(&self, id: &str) -> String {
        format!("organizations/{}/exports/{id}", self.id)
    }

    pub fn exports(&self, ids: &[String]) -> Vec<String> {
        ids.iter().map(|id| self.export(id)).collect()
    }
}

/// A placeholder for a time that is set.
pub fn some_time(is_set: bool) -> Option<Timestamp> {
    is_set.then(Timestamp::default)
}

/// Reduces a connection to the fields that the reference can predict.
pub fn comparable_connection(mut connection: pb::Connection) -> pb::Connection {
    let host = connection.properties.as_mut().and_then(|properties| properties.fields.remove("host"));
    let host = host.and_then(|host| host.kind).expect("a host");
    let status = connection.credential_status.as_mut().expect("a status");
    status.set_time = some_time(status.set_time.is_some());
    status.expire_time = some_time(status.expire_time.is_some());
    pb::Connection {
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        properties: Some(object([("host", host)])),
        ..connection
    }
}

/// Reduces an export to the fields that the reference can predict.
pub fn comparable_export(mut export: pb::Export) -> pb::Export {
    if let Some(detachment) = &mut export.detachment {
        detachment.time = None;
        if !detachment.batch_id.is_empty() {
            "a batch".clone_into(&mut detachment.batch_id);
        }
    }
    if let Some(pause) = &mut export.schedule_pause {
        pause.time = some_time(pause.time.is_some());
    }
    export.last_run = export.last_run.map(comparable_last_run);
    pb::Export {
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        destination_settings: None,
        payload: None,
        ..export
    }
}

fn comparable_last_run(mut run: pb::export::LastRun) -> pb::export::LastRun {
    if let Some(error) = &mut run.error {
        assert!(!std::mem::take(&mut error.message).is_empty(), "a failure says what to do");
    }
    let (name, _uid) = run.name.rsplit_once('/').expect("a name");
    assert!(run.create_time.is_some());
    pb::export::LastRun {
        name: format!("{name}/"),
        create_time: None,
        end_time: some_time(run.end_time.is_some()),
        ..run
    }
}

impl Reference {
    /// A connection, as the product should return it.
    pub fn connection(&self, organization: &Organization, id: &str, connection: &Connection) -> pb::Connection {
        use pb::connection::{State, StateReason};
        let (state, reason) = match connection.state(self.hour) {
            "ACTIVE" => (State::Active, StateReason::Unspecified),
            "SUSPENDED" => (State::Suspended, StateReason::Unspecified),
            "CREDENTIAL_MISSING" => (State::CredentialRequired, StateReason::CredentialMissing),
            _ => (State::CredentialRequired, StateReason::CredentialExpired),
        };
        let stored = connection.credential.is_some();
        pb::Connection {
            name: organization.connection(id),
            description: connection.description.clone(),
            schema_version: 4,
            properties: Some(object([("host", text(&connection.host))])),
            credential_status: Some(pb::CredentialStatus {
                auth_method: if stored { "password".to_owned() } else { String::new() },
                set_fields: if stored { vec!["password".to_owned()] } else { Vec::new() },
                revision: connection.credential_revision,
                set_time: some_time(stored),
                expire_time: some_time(connection.credential.is_some_and(|hour| hour != NEVER)),
            }),
            sharing: Some(pb::Sharing {
                all_contributors: connection.all,
                members: connection.members.iter().cloned().collect(),
            }),
            state: state.into(),
            state_reason: reason.into(),
            suspend_reason: connection.suspended.clone().unwrap_or_default(),
            attached_export_count: i64::try_from(connection.attached.len()).expect("a small number"),
            creator: "root".to_owned(),
            updater: "root".to_owned(),
            ..sftp(&format!("Connection {id}"))
        }
    }

    /// An export, as the product should return it to a caller.
    pub fn export(&self, organization: &Organization, caller: Caller, id: &str, export: &Export) -> pb::Export {
        use pb::export::{CallerAccess, Detachment, State, StateReason};
        let (state, reason) = self.export_state(export);
        let (connection, detachment) = match &export.connection {
            Ok(connection) => (Some(connection), None),
            Err(detached) => {
                let detachment = Detachment {
                    connection: organization.connection(&detached.from),
                    connection_display_name: format!("Connection {}", detached.from),
                    batch_id: if detached.batch { "a batch".to_owned() } else { String::new() },
                    principal: "root".to_owned(),
                    time: None,
                    reason: detached.reason.clone(),
                };
                (None, Some(detachment))
            }
        };
        let access = if self.manages(caller, export) { CallerAccess::Manage } else { CallerAccess::View };
        pb::Export {
            last_run: self.last_run(organization, caller, export),
            name: organization.export(id),
            display_name: export.display_name.clone(),
            description: export.description.clone(),
            connection: connection.map(|id| organization.connection(id)).unwrap_or_default(),
            connection_display_name: connection.map(|id| format!("Connection {id}")).unwrap_or_default(),
            connection_type: "connectionTypes/sftp".to_owned(),
            schedule: Some(organization.schedule(&export.timing, export.enabled)),
            schedule_pause: export
                .paused
                .map(|failures| pb::export::SchedulePause { time: some_time(true), failures: failures.cast_signed() }),
            state: state.into(),
            state_reason: match reason {
                "SUSPENDED" => StateReason::ConnectionSuspended,
                "CREDENTIAL_MISSING" => StateReason::CredentialRequired,
                "CREDENTIAL_EXPIRED" => StateReason::CredentialExpired,
                _ => StateReason::Unspecified,
            }
            .into(),
            detachment,
            next_run_time: export
                .next_due
                .filter(|_| state == State::Active)
                .map(|_| organization.due_time(export.timing.due_after(self.hour))),
            caller_access: access.into(),
            creator: export.creator.subject(),
            owner: export.owner.clone(),
            updater: export.updater.subject(),
            ..Default::default()
        }
    }

    /// The state of an export, with the reason if it is blocked.
    fn export_state(&self, export: &Export) -> (pb::export::State, &'static str) {
        let Ok(connection) = &export.connection else { return (pb::export::State::Inactive, "") };
        match self.connections[connection].state(self.hour) {
            "ACTIVE" => (pb::export::State::Active, "ACTIVE"),
            reason => (pb::export::State::Blocked, reason),
        }
    }

    /// All connections, in order of creation.
    pub fn all_connections(&self, organization: &Organization) -> Vec<pb::Connection> {
        let mut all: Vec<_> = self.connections.iter().collect();
        all.sort_by_key(|(_, connection)| connection.incarnation);
        all.into_iter().map(|(id, connection)| self.connection(organization, id, connection)).collect()
    }

    /// All exports in order of creation, as a caller reads them.
    pub fn all_exports(&self, organization: &Organization, caller: Caller) -> Vec<pb::Export> {
        let mut all: Vec<_> = self.exports.iter().collect();
        all.sort_by_key(|(_, export)| export.incarnation);
        all.into_iter().map(|(id, export)| self.export(organization, caller, id, export)).collect()
    }

    /// The listing of the exports that block a removal.
    fn stream_response(&self, organization: &Organization, id: &str) -> ResponseView {
        let attached = &self.connections[id].attached;
        let view = |id: &String| {
            let export = &self.exports[id];
            let state = self.export_state(export).0.into();
            (organization.export(id), export.display_name.clone(), export.creator.subject(), state)
        };
        let count = i64::try_from(attached.len()).expect("a small number");
        ResponseView::Stream(attached.iter().map(view).collect(), count)
    }

    /// The response of a call that changed these resources, for the call itself and for its repetition.
    pub fn response(
        &self,
        organization: &Organization,
        caller: Caller,
        op: &Op,
        affected: &Affected,
    ) -> Result<ResponseView, &'static str> {
        // The export, unless it was deleted since.
        let find =
            |id: &String, incarnation: u64| self.exports.get(id).filter(|found| found.incarnation == incarnation);
        Ok(match op {
            Op::DeleteConnection { .. } | Op::DeleteExport { .. } | Op::AdvanceClock { .. } => ResponseView::Nothing,
            Op::RunExport { .. }
            | Op::BatchRun { .. }
            | Op::RunScheduled
            | Op::CancelRun { .. }
            | Op::GetRun { .. }
            | Op::ListRuns { .. } => self.run_response(organization, caller, op, affected),
            Op::SearchUsable => {
                let mut usable: Vec<_> =
                    self.connections.iter().filter(|(_, connection)| connection.is_usable(caller)).collect();
                usable.sort_by_key(|(_, connection)| connection.incarnation);
                let view = |(id, _): (&String, _)| pb::UsableConnection {
                    name: organization.connection(id),
                    display_name: format!("Connection {id}"),
                    connection_type: "connectionTypes/sftp".to_owned(),
                    display_name_ambiguous: false,
                };
                ResponseView::Usable(usable.into_iter().map(view).collect())
            }
            Op::ListExports { manage } => {
                let access: i32 =
                    if *manage { pb::export::CallerAccess::Manage } else { pb::export::CallerAccess::View }.into();
                let all = self.all_exports(organization, caller).into_iter();
                ResponseView::Exports(all.filter(|export| export.caller_access == access).collect())
            }
            Op::Stream { id } => self.stream_response(organization, id),
            Op::BatchDelete { .. }
            | Op::BatchAttach { .. }
            | Op::BatchDetach { .. }
            | Op::DetachSet { .. }
            | Op::SetEnabled { .. } => {
                let result = |(id, incarnation): &(String, u64)| {
                    let state = find(id, *incarnation).map_or(0, |export| self.export_state(export).0.into());
                    (organization.export(id), state)
                };
                let count = i64::try_from(affected.count).expect("a small number");
                ResponseView::Batch(affected.resources.iter().map(result).collect(), count)
            }
            Op::CreateExport { .. }
            | Op::UpdateExport { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::Detach { .. } => {
                let (id, incarnation) = &affected.resources[0];
                let export = find(id, *incarnation).ok_or("RESOURCE_NOT_FOUND")?;
                ResponseView::Export(Box::new(self.export(organization, caller, id, export)))
            }
            _ => {
                let (id, incarnation) = &affected.resources[0];
                let found = self.connections.get(id).filter(|found| found.incarnation == *incarnation);
                let found = found.ok_or("RESOURCE_NOT_FOUND")?;
                let count = i64::try_from(affected.count).expect("a small number");
                ResponseView::Connection(Box::new(self.connection(organization, id, found)), count)
            }
        })
    }
}
