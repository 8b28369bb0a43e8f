//! What an answer says, the same for the product and the reference: what only the product can know (uids, times, etags)
//! is left out, or reduced to whether it is there.

use outflow::grpc::proto as pb;
use prost_types::Timestamp;

use super::operations::{Op, Who};
use super::reference::{Connection, Effect, Export, NEVER, Reference};
use crate::support::{object, sftp, text};

/// An answer, or as much of it as can be foretold.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Nothing,
    Connection(Box<pb::Connection>, i64),
    Export(Box<pb::Export>),
    Batch(Vec<(String, i32)>, i64),
    Usable(Vec<pb::UsableConnection>),
    Exports(Vec<pb::Export>),
    Stream(Vec<(String, String, String, i32)>, i64),
}

/// The organization of a sequence, and what is in it.
#[derive(Clone, Debug)]
pub struct Organization(pub String);

impl Organization {
    pub fn parent(&self) -> String {
        format!("organizations/{}", self.0)
    }

    pub fn connection(&self, id: &str) -> String {
        format!("organizations/{}/connections/{id}", self.0)
    }

    pub fn export(&self, id: &str) -> String {
        format!("organizations/{}/exports/{id}", self.0)
    }

    pub fn exports(&self, ids: &[String]) -> Vec<String> {
        ids.iter().map(|id| self.export(id)).collect()
    }
}

fn subject(who: Who) -> String {
    match who {
        Who::Root => "root",
        Who::Ann => "ann",
        Who::Bob => "bob",
        Who::Vera => "vera",
    }
    .to_owned()
}

/// That there is a time.
fn some_time(there: bool) -> Option<Timestamp> {
    there.then(Timestamp::default)
}

/// A connection of the product, as it can be foretold.
pub fn seen_connection(mut connection: pb::Connection) -> pb::Connection {
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

/// An export of the product, as it can be foretold.
pub fn seen_export(mut export: pb::Export) -> pb::Export {
    if let Some(detachment) = &mut export.detachment {
        detachment.time = None;
        if !detachment.batch_id.is_empty() {
            "a batch".clone_into(&mut detachment.batch_id);
        }
    }
    let schedule = export.schedule.map(|schedule| pb::Schedule { timing: None, ..schedule });
    pb::Export {
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        next_run_time: some_time(export.next_run_time.is_some()),
        destination_settings: None,
        payload: None,
        schedule,
        ..export
    }
}

impl Reference {
    /// A connection, as the product should show it.
    pub fn connection(&self, organization: &Organization, id: &str, connection: &Connection) -> pb::Connection {
        use pb::connection::{State, StateReason};
        let (state, reason) = match connection.condition(self.hour) {
            "ACTIVE" => (State::Active, StateReason::Unspecified),
            "SUSPENDED" => (State::Suspended, StateReason::Unspecified),
            "CREDENTIAL_MISSING" => (State::CredentialRequired, StateReason::CredentialMissing),
            _ => (State::CredentialRequired, StateReason::CredentialExpired),
        };
        let stored = connection.credential.is_some();
        pb::Connection {
            name: organization.connection(id),
            description: connection.description.clone(),
            schema_version: 1,
            properties: Some(object([("host", text(&connection.host))])),
            credential_status: Some(pb::CredentialStatus {
                auth_method: if stored { "password".to_owned() } else { String::new() },
                set_fields: if stored { vec!["password".to_owned()] } else { Vec::new() },
                revision: connection.credential_revision,
                set_time: some_time(stored),
                expire_time: some_time(connection.credential.is_some_and(|end| end != NEVER)),
            }),
            sharing: Some(pb::Sharing {
                all_contributors: connection.all,
                members: connection.members.iter().cloned().collect(),
            }),
            state: state.into(),
            state_reason: reason.into(),
            suspend_reason: connection.suspended.clone().unwrap_or_default(),
            attached_export_count: i64::try_from(connection.attached.len()).expect("few"),
            creator: "root".to_owned(),
            updater: "root".to_owned(),
            ..sftp(&format!("Connection {id}"))
        }
    }

    /// An export, as the product should show it to somebody.
    pub fn export(&self, organization: &Organization, who: Who, id: &str, export: &Export) -> pb::Export {
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
        let access = if self.manages(who, export) { CallerAccess::Manage } else { CallerAccess::View };
        pb::Export {
            name: organization.export(id),
            display_name: export.display_name.clone(),
            description: export.description.clone(),
            connection: connection.map(|id| organization.connection(id)).unwrap_or_default(),
            connection_display_name: connection.map(|id| format!("Connection {id}")).unwrap_or_default(),
            connection_type: "connectionTypes/sftp".to_owned(),
            schedule: Some(pb::Schedule {
                enabled: export.enabled,
                overlap_policy: pb::schedule::OverlapPolicy::Skip.into(),
                ..Default::default()
            }),
            state: state.into(),
            state_reason: match reason {
                "SUSPENDED" => StateReason::ConnectionSuspended,
                "CREDENTIAL_MISSING" => StateReason::CredentialRequired,
                "CREDENTIAL_EXPIRED" => StateReason::CredentialExpired,
                _ => StateReason::Unspecified,
            }
            .into(),
            detachment,
            next_run_time: some_time(state == State::Active && export.enabled),
            caller_access: access.into(),
            creator: subject(export.creator),
            updater: subject(export.updater),
            ..Default::default()
        }
    }

    fn export_state(&self, export: &Export) -> (pb::export::State, &'static str) {
        let Ok(connection) = &export.connection else { return (pb::export::State::Inactive, "") };
        match self.connections[connection].condition(self.hour) {
            "ACTIVE" => (pb::export::State::Active, "ACTIVE"),
            reason => (pb::export::State::Blocked, reason),
        }
    }

    /// All connections, by age.
    pub fn all_connections(&self, organization: &Organization) -> Vec<pb::Connection> {
        let mut all: Vec<_> = self.connections.iter().collect();
        all.sort_by_key(|(_, connection)| connection.incarnation);
        all.into_iter().map(|(id, connection)| self.connection(organization, id, connection)).collect()
    }

    /// All exports by age, as somebody sees them.
    pub fn all_exports(&self, organization: &Organization, who: Who) -> Vec<pb::Export> {
        let mut all: Vec<_> = self.exports.iter().collect();
        all.sort_by_key(|(_, export)| export.incarnation);
        all.into_iter().map(|(id, export)| self.export(organization, who, id, export)).collect()
    }

    /// What a call answers that had this effect, now or when it is repeated.
    pub fn answer(
        &self,
        organization: &Organization,
        who: Who,
        op: &Op,
        effect: &Effect,
    ) -> Result<Answer, &'static str> {
        let alive =
            |id: &String, incarnation: u64| self.exports.get(id).filter(|found| found.incarnation == incarnation);
        Ok(match op {
            Op::DeleteConnection { .. } | Op::DeleteExport { .. } | Op::Later { .. } => Answer::Nothing,
            Op::SearchUsable => {
                let mut usable: Vec<_> = self.connections.iter().filter(|(_, one)| one.is_usable(who)).collect();
                usable.sort_by_key(|(_, connection)| connection.incarnation);
                let shown = |(id, _): (&String, _)| pb::UsableConnection {
                    name: organization.connection(id),
                    display_name: format!("Connection {id}"),
                    connection_type: "connectionTypes/sftp".to_owned(),
                };
                Answer::Usable(usable.into_iter().map(shown).collect())
            }
            Op::ListExports { manage } => {
                let access: i32 =
                    if *manage { pb::export::CallerAccess::Manage } else { pb::export::CallerAccess::View }.into();
                let all = self.all_exports(organization, who).into_iter();
                Answer::Exports(all.filter(|export| export.caller_access == access).collect())
            }
            Op::Stream { id } => {
                let attached = &self.connections[id].attached;
                let shown = |id: &String| {
                    let export = &self.exports[id];
                    let state = self.export_state(export).0.into();
                    (organization.export(id), export.display_name.clone(), subject(export.creator), state)
                };
                Answer::Stream(attached.iter().map(shown).collect(), i64::try_from(attached.len()).expect("few"))
            }
            Op::DeleteExports { .. }
            | Op::AttachMany { .. }
            | Op::DetachMany { .. }
            | Op::DetachSet { .. }
            | Op::Switch { .. } => {
                let result = |(id, incarnation): &(String, u64)| {
                    let state = alive(id, *incarnation).map_or(0, |export| self.export_state(export).0.into());
                    (organization.export(id), state)
                };
                let count = i64::try_from(effect.count).expect("few");
                Answer::Batch(effect.resources.iter().map(result).collect(), count)
            }
            Op::CreateExport { .. }
            | Op::DescribeExport { .. }
            | Op::Duplicate { .. }
            | Op::Attach { .. }
            | Op::Detach { .. } => {
                let (id, incarnation) = &effect.resources[0];
                let export = alive(id, *incarnation).ok_or("RESOURCE_NOT_FOUND")?;
                Answer::Export(Box::new(self.export(organization, who, id, export)))
            }
            _ => {
                let (id, incarnation) = &effect.resources[0];
                let found = self.connections.get(id).filter(|found| found.incarnation == *incarnation);
                let found = found.ok_or("RESOURCE_NOT_FOUND")?;
                let count = i64::try_from(effect.count).expect("few");
                Answer::Connection(Box::new(self.connection(organization, id, found)), count)
            }
        })
    }
}
