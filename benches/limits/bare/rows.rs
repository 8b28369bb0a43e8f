//! Reads rows of both libraries, and converts them to messages.

use chrono::{DateTime, Utc};
use outflow::grpc::proto as pb;
use outflow::model::token::{Etag, TokenKind};
use outflow::model::{ConnectionUid, Cursor};
use pb::stream_blocking_exports_response::{Blocking, Event};
use prost_types::value::Kind;
use prost_types::{Struct, Timestamp};
use sea_orm::QueryResult;
use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::Page;

/// A row of either library, read by column name.
pub trait Row {
    fn text(&self, column: &str) -> String;
    fn maybe_text(&self, column: &str) -> Option<String>;
    fn number(&self, column: &str) -> i64;
    fn maybe_number(&self, column: &str) -> Option<i64>;
    fn small(&self, column: &str) -> i32;
    fn flag(&self, column: &str) -> bool;
    fn json(&self, column: &str) -> Value;
    fn uid(&self, column: &str) -> Uuid;
    fn time(&self, column: &str) -> DateTime<Utc>;
    fn maybe_time(&self, column: &str) -> Option<DateTime<Utc>>;
}

impl Row for SqliteRow {
    fn text(&self, column: &str) -> String {
        self.get(column)
    }
    fn maybe_text(&self, column: &str) -> Option<String> {
        self.get(column)
    }
    fn number(&self, column: &str) -> i64 {
        self.get(column)
    }
    fn maybe_number(&self, column: &str) -> Option<i64> {
        self.get(column)
    }
    fn small(&self, column: &str) -> i32 {
        self.get(column)
    }
    fn flag(&self, column: &str) -> bool {
        self.get(column)
    }
    fn json(&self, column: &str) -> Value {
        self.get(column)
    }
    fn uid(&self, column: &str) -> Uuid {
        self.get(column)
    }
    fn time(&self, column: &str) -> DateTime<Utc> {
        self.get(column)
    }
    fn maybe_time(&self, column: &str) -> Option<DateTime<Utc>> {
        self.get(column)
    }
}

impl Row for PgRow {
    fn text(&self, column: &str) -> String {
        self.get(column)
    }
    fn maybe_text(&self, column: &str) -> Option<String> {
        self.get(column)
    }
    fn number(&self, column: &str) -> i64 {
        self.get(column)
    }
    fn maybe_number(&self, column: &str) -> Option<i64> {
        self.get(column)
    }
    fn small(&self, column: &str) -> i32 {
        self.get(column)
    }
    fn flag(&self, column: &str) -> bool {
        self.get(column)
    }
    fn json(&self, column: &str) -> Value {
        self.get(column)
    }
    fn uid(&self, column: &str) -> Uuid {
        self.get(column)
    }
    fn time(&self, column: &str) -> DateTime<Utc> {
        self.get(column)
    }
    fn maybe_time(&self, column: &str) -> Option<DateTime<Utc>> {
        self.get(column)
    }
}

impl Row for QueryResult {
    fn text(&self, column: &str) -> String {
        self.try_get("", column).expect("a text")
    }
    fn maybe_text(&self, column: &str) -> Option<String> {
        self.try_get("", column).expect("a text or NULL")
    }
    fn number(&self, column: &str) -> i64 {
        self.try_get("", column).expect("a number")
    }
    fn maybe_number(&self, column: &str) -> Option<i64> {
        self.try_get("", column).expect("a number or NULL")
    }
    fn small(&self, column: &str) -> i32 {
        self.try_get("", column).expect("a small number")
    }
    fn flag(&self, column: &str) -> bool {
        self.try_get("", column).expect("a flag")
    }
    fn json(&self, column: &str) -> Value {
        self.try_get("", column).expect("JSON")
    }
    fn uid(&self, column: &str) -> Uuid {
        self.try_get("", column).expect("a uid")
    }
    fn time(&self, column: &str) -> DateTime<Utc> {
        self.try_get("", column).expect("a time")
    }
    fn maybe_time(&self, column: &str) -> Option<DateTime<Utc>> {
        self.try_get("", column).expect("a time or NULL")
    }
}

fn stamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).expect("in range") }
}

/// Converts a JSON object of strings, booleans and numbers to a Struct.
fn object(value: Value) -> Struct {
    let Value::Object(fields) = value else { panic!("not an object: {value}") };
    let value = |value| match value {
        Value::String(text) => Kind::StringValue(text),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a number")),
        other => panic!("not a string, boolean or number: {other}"),
    };
    Struct { fields: fields.into_iter().map(|(key, found)| (key, value(found).into())).collect() }
}

fn texts(value: Value) -> Vec<String> {
    serde_json::from_value(value).expect("a list of texts")
}

fn etag(uid: Uuid, revision: i64) -> String {
    Etag { uid, revision }.encode(TokenKind::Etag)
}

/// Converts a row to a connection.
pub fn connection(row: &impl Row) -> pb::Connection {
    let uid = row.uid("uid");
    let members = row.maybe_text("members");
    assert_eq!(row.small("condition"), 0);
    pb::Connection {
        last_test: None,
        name: format!("organizations/{}/connections/{}", row.text("organization"), row.text("id")),
        uid: uid.to_string(),
        display_name: row.text("display_name"),
        description: row.text("description"),
        connection_type: format!("connectionTypes/{}", row.text("connection_type")),
        schema_version: row.small("schema_version"),
        properties: Some(object(row.json("properties"))),
        credential_status: Some(pb::CredentialStatus {
            auth_method: row.maybe_text("credential_auth_method").unwrap_or_default(),
            set_fields: texts(row.json("credential_set_fields")),
            revision: row.number("credential_revision"),
            set_time: row.maybe_time("credential_set_time").map(stamp),
            expire_time: row.maybe_time("credential_expire_time").map(stamp),
        }),
        sharing: Some(pb::Sharing {
            all_contributors: row.flag("shared_with_all"),
            members: members.iter().flat_map(|members| members.lines()).map(ToOwned::to_owned).collect(),
        }),
        state: pb::connection::State::Active.into(),
        state_reason: 0,
        suspend_reason: row.text("suspend_reason"),
        attached_export_count: row.number("attached_export_count"),
        labels: serde_json::from_value(row.json("labels")).expect("labels"),
        creator: row.text("creator"),
        create_time: Some(stamp(row.time("create_time"))),
        updater: row.text("updater"),
        update_time: Some(stamp(row.time("update_time"))),
        etag: etag(uid, row.number("revision")),
    }
}

/// Converts a row to an attached export.
pub fn export(row: &impl Row) -> pb::Export {
    use pb::export::{CallerAccess, State};
    let (uid, organization) = (row.uid("uid"), row.text("organization"));
    assert_eq!(row.small("condition"), 0);
    assert!(row.maybe_number("attached_revision").is_some() && row.maybe_text("detached_reason").is_none());
    let table = row.json("payload")["tables"][0]["table"].as_str().expect("a table").to_owned();
    let field = pb::PayloadField {
        field: row.json("payload")["tables"][0]["fields"][0]["field"].as_str().expect("a field").to_owned(),
        output_name: String::new(),
        transform: pb::payload_field::Transform::None.into(),
    };
    pb::Export {
        name: format!("organizations/{organization}/exports/{}", row.text("id")),
        uid: uid.to_string(),
        display_name: row.text("display_name"),
        description: row.text("description"),
        connection: format!("organizations/{organization}/connections/{}", row.text("connection_id")),
        connection_display_name: row.text("connection_display_name"),
        connection_type: format!("connectionTypes/{}", row.text("connection_type")),
        payload: Some(pb::Payload {
            tables: vec![pb::PayloadTable { table, fields: vec![field], filters: Vec::new() }],
        }),
        destination_settings: Some(object(row.json("destination_settings"))),
        state: State::Active.into(),
        caller_access: if row.flag("managed") { CallerAccess::Manage } else { CallerAccess::View }.into(),
        labels: serde_json::from_value(row.json("labels")).expect("labels"),
        creator: row.text("creator"),
        create_time: Some(stamp(row.time("create_time"))),
        updater: row.text("updater"),
        update_time: Some(stamp(row.time("update_time"))),
        etag: etag(uid, row.number("revision")),
        ..Default::default()
    }
}

/// Converts rows to a page.
pub fn page<R: Row>(rows: &[R], mut cursor: Cursor) -> Page {
    let first = rows.first().expect("the connection exists");
    let (count, snapshot_revision) = (first.number("snapshot_count"), first.number("snapshot_revision"));
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(revision) = row.maybe_number("entry_revision") else { continue };
        cursor.last_revision = revision;
        let blocking = Blocking {
            name: format!("organizations/acme/exports/{}", row.text("entry_id")),
            display_name: row.text("entry_display_name"),
            creator: row.text("entry_creator"),
            state: pb::export::State::Active.into(),
            next_run_time: row.maybe_time("entry_due_time").map(stamp),
        };
        let event = Some(Event::Blocking(blocking));
        messages.push(pb::StreamBlockingExportsResponse { event, cursor: cursor.encode() });
    }
    let revision = if messages.len() < super::statements::PAGE_SIZE { snapshot_revision } else { cursor.last_revision };
    Page { messages, count, revision }
}

/// The column values of a new export, which `create_export` requests.
pub struct NewExport {
    pub uid: Uuid,
    pub id: String,
    pub display_name: String,
    pub payload: Value,
    pub settings: Value,
    pub time: DateTime<Utc>,
}

impl NewExport {
    pub fn of(request: &pb::CreateExportRequest) -> Self {
        let export = request.export.as_ref().expect("an export");
        let uid = Uuid::now_v7();
        let fields = json!([{"field": "email", "output_name": "", "transform": "None"}]);
        let settings = json!({
            "folder": "weekly", "file_format": "csv", "quoting": "necessary", "delimiter": "comma", "null_text": "",
            "compression": "zstd", "line_ending": "crlf", "formula_guard": false, "include_header": true,
            "byte_order_mark": false, "parquet_compression": "zstd",
        });
        Self {
            uid,
            id: uid.to_string(),
            display_name: export.display_name.clone(),
            payload: json!({"tables": [{"table": "customers", "fields": fields, "filters": []}]}),
            settings,
            time: outflow::model::Clock::default().now(),
        }
    }

    /// The new values in its audit event.
    pub fn after(&self, connection: &str) -> Value {
        let tables = &self.payload["tables"][0];
        json!({
            "display_name": self.display_name, "connection": connection, "destination_settings": self.settings,
            "payload": [{"table": tables["table"], "fields": tables["fields"]}],
        })
    }
}

/// The cursor at the start of the stream.
pub fn start(uid: Uuid) -> Cursor {
    let connection = ConnectionUid(uid);
    Cursor { connection, start_revision: 0, last_revision: 0, released_until: DateTime::UNIX_EPOCH }
}
