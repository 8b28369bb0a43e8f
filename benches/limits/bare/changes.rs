//! What changes write: the column values that the service stores for the same requests.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use outflow::grpc::proto as pb;
use outflow::model::schedule::{OverlapPolicy, Schedule, Timing};
use outflow::model::{Clock, Payload, PayloadField, PayloadTable, Transform};
use prost_types::Struct;
use prost_types::value::Kind;
use serde::Serialize;
use serde_json::{Map, Number, Value, json};
use uuid::Uuid;

use super::id;
use super::rows::{self, Export, stamp};
use super::statements::Caller;

/// How long after its creation an export is due, instead of the next time of its schedule.
const DUE_AFTER: TimeDelta = TimeDelta::days(7);

/// The values of a new connection without sharing, labels and a description.
pub struct NewConnection {
    pub uid: Uuid,
    pub id: String,
    pub display_name: String,
    pub properties: Value,
    pub time: DateTime<Utc>,
}

/// The values of a new export without labels and a description, and with the default settings.
pub struct NewExport {
    pub uid: Uuid,
    pub id: String,
    pub display_name: String,
    /// The name of its connection.
    pub connection: String,
    pub payload: Payload,
    pub schedule: Option<Schedule>,
    pub settings: Value,
    pub next_due_time: Option<DateTime<Utc>>,
    pub time: DateTime<Utc>,
}

/// The values of an audit event.
pub struct Event {
    pub uid: Uuid,
    pub time: DateTime<Utc>,
    pub method: &'static str,
    pub resource: String,
    pub resource_uid: Uuid,
    pub display_name: String,
    pub fields: Vec<&'static str>,
    pub before: Value,
    pub after: Value,
    pub call_id: String,
}

/// The JSON of a value.
pub fn stored(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("JSON")
}

/// The id that a request chooses, or the uid.
fn chosen_id(chosen: String, uid: Uuid) -> String {
    if chosen.is_empty() { uid.to_string() } else { chosen }
}

/// Converts a Struct of strings, booleans and numbers. Whole numbers become integers.
fn object(fields: Struct) -> Value {
    let value = |value: prost_types::Value| match value.kind.expect("a value") {
        Kind::StringValue(text) => Value::String(text),
        Kind::BoolValue(flag) => Value::Bool(flag),
        Kind::NumberValue(number) => Value::Number(number.to_string().parse::<Number>().expect("a number")),
        other => panic!("not a string, boolean or number: {other:?}"),
    };
    let fields = fields.fields.into_iter().map(|(key, found)| (key, value(found)));
    Value::Object(fields.collect::<Map<_, _>>())
}

impl NewConnection {
    pub fn of(request: pb::CreateConnectionRequest) -> Self {
        let connection = request.connection.expect("a connection");
        let uid = Uuid::now_v7();
        Self {
            uid,
            id: chosen_id(request.connection_id, uid),
            display_name: connection.display_name,
            properties: object(connection.properties.expect("properties")),
            time: Clock::default().now(),
        }
    }

    /// The connection as it was stored.
    pub fn into_message(self, caller: Caller) -> pb::Connection {
        let Value::Object(properties) = self.properties else { panic!("properties are an object") };
        let credential_status = pb::CredentialStatus {
            auth_method: "password".to_owned(),
            set_fields: vec!["password".to_owned()],
            revision: 1,
            set_time: Some(stamp(self.time)),
            expire_time: None,
        };
        pb::Connection {
            name: format!("organizations/acme/connections/{}", self.id),
            uid: self.uid.to_string(),
            display_name: self.display_name,
            connection_type: "connectionTypes/sftp".to_owned(),
            schema_version: 4,
            properties: Some(rows::object(properties)),
            credential_status: Some(credential_status),
            sharing: Some(pb::Sharing::default()),
            state: pb::connection::State::Active.into(),
            creator: caller.principal.to_owned(),
            create_time: Some(stamp(self.time)),
            updater: caller.principal.to_owned(),
            update_time: Some(stamp(self.time)),
            etag: rows::etag(self.uid, 1),
            ..pb::Connection::default()
        }
    }

    pub fn event(&self) -> Event {
        let after = json!({
            "display_name": self.display_name, "connection_type": "connectionTypes/sftp", "properties": self.properties,
        });
        Event {
            uid: Uuid::now_v7(),
            time: self.time,
            method: "outflow.v1.ConnectionService/CreateConnection",
            resource: format!("organizations/acme/connections/{}", self.id),
            resource_uid: self.uid,
            display_name: self.display_name.clone(),
            fields: vec!["display_name", "connection_type", "properties", "credential"],
            before: json!({}),
            after,
            call_id: Uuid::new_v4().to_string(),
        }
    }
}

impl NewExport {
    pub fn of(request: pb::CreateExportRequest) -> Self {
        let export = request.export.expect("an export");
        let (uid, time) = (Uuid::now_v7(), Clock::default().now());
        let settings = json!({
            "folder": "weekly", "file_name_template": "{export}-{table}-{time}-{run}", "file_format": "csv",
            "compression": "zstd", "parquet_compression": "zstd", "delimiter": "comma", "include_header": true,
            "quoting": "necessary", "null_text": "", "line_ending": "crlf", "byte_order_mark": false,
            "formula_guard": false,
        });
        Self {
            uid,
            id: chosen_id(request.export_id, uid),
            display_name: export.display_name,
            connection: export.connection,
            payload: payload(export.payload.expect("a payload")),
            next_due_time: export.schedule.as_ref().map(|_| time + DUE_AFTER),
            schedule: export.schedule.map(schedule),
            settings,
            time,
        }
    }

    /// The export as it was stored on a connection.
    pub fn into_export(self, connection: pb::Connection, caller: Caller) -> Export {
        let Value::Object(settings) = self.settings else { panic!("settings are an object") };
        Export {
            connection_id: id(&connection.name).to_owned(),
            connection_display_name: connection.display_name,
            is_managed: true,
            creator: caller.principal.to_owned(),
            owner: Some(caller.member.to_owned()),
            id: self.id,
            uid: self.uid,
            display_name: self.display_name,
            description: String::new(),
            connection_type: "sftp".to_owned(),
            payload: self.payload,
            schedule: self.schedule,
            settings,
            file_name: None,
            next_due_time: self.next_due_time,
            labels: BTreeMap::new(),
            create_time: self.time,
            updater: caller.principal.to_owned(),
            update_time: self.time,
            revision: 1,
        }
    }

    pub fn event(&self, caller: Caller) -> Event {
        let mut fields = vec!["display_name", "connection", "payload", "destination_settings", "owner"];
        let tables = self.payload.tables.iter();
        let payload: Value = tables.map(|table| json!({"table": table.table, "fields": table.fields})).collect();
        let mut after = json!({
            "display_name": self.display_name, "connection": self.connection, "payload": payload,
            "destination_settings": self.settings, "owner": caller.member,
        });
        if let Some(schedule) = &self.schedule {
            fields.insert(3, "schedule");
            after["schedule"] = stored(schedule);
        }
        Event {
            uid: Uuid::now_v7(),
            time: self.time,
            method: "outflow.v1.ExportService/CreateExport",
            resource: format!("organizations/acme/exports/{}", self.id),
            resource_uid: self.uid,
            display_name: self.display_name.clone(),
            fields,
            before: json!({}),
            after,
            call_id: Uuid::new_v4().to_string(),
        }
    }
}

/// Renames an export, and returns the event of the change.
pub fn rename(export: &mut Export, display_name: String) -> Event {
    let (before, after) = (json!({"display_name": export.display_name}), json!({"display_name": display_name}));
    export.display_name = display_name;
    export.revision += 1;
    export.update_time = Clock::default().now();
    Event {
        uid: Uuid::now_v7(),
        time: export.update_time,
        method: "outflow.v1.ExportService/UpdateExport",
        resource: export.name(),
        resource_uid: export.uid,
        display_name: export.display_name.clone(),
        fields: vec!["display_name"],
        before,
        after,
        call_id: Uuid::new_v4().to_string(),
    }
}

/// Converts a payload without filters and transforms.
fn payload(payload: pb::Payload) -> Payload {
    let tables = payload.tables.into_iter().map(|table| PayloadTable {
        table: table.table,
        fields: table
            .fields
            .into_iter()
            .map(|field| PayloadField {
                field: field.field,
                output_name: field.output_name,
                transform: Transform::None,
                field_type: None,
            })
            .collect(),
        filters: Vec::new(),
    });
    Payload { tables: tables.collect() }
}

/// Converts a schedule that has no more than a cron expression.
fn schedule(schedule: pb::Schedule) -> Schedule {
    let Some(pb::schedule::Timing::Cron(cron)) = schedule.timing else { panic!("not a cron expression") };
    let timing = Timing::Cron {
        expression: cron.expression,
        time_zone: cron.time_zone,
        skipped_time: None,
        repeated_time: None,
    };
    Schedule {
        timing,
        enabled: schedule.enabled,
        start_time: None,
        end_time: None,
        jitter: None,
        overlap_policy: OverlapPolicy::Skip,
        catchup_window: None,
        pause_after_failures: None,
    }
}
