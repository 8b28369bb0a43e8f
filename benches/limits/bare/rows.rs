//! Reads rows of both libraries, and converts them to messages.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use outflow::grpc::proto as pb;
use outflow::model::schedule::{Schedule, Timing};
use outflow::model::token::{Etag, TokenKind};
use outflow::model::{Cursor, Payload};
use pb::stream_blocking_exports_response::{Blocking, Event};
use prost_types::value::Kind;
use prost_types::{Struct, Timestamp};
use sea_orm::{QueryResult, TryGetable, TryGetableFromJson};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};
use uuid::Uuid;

/// A type that both libraries read from columns of both databases.
pub trait Column:
    TryGetable + Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl<T> Column for T where
    T: TryGetable + Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

/// A row of either library, read by the positions of columns.
pub trait Row {
    fn value<T: Column>(&self, index: usize) -> T;
    fn json<T: DeserializeOwned>(&self, index: usize) -> Option<T>;
}

impl Row for SqliteRow {
    fn value<T: Column>(&self, index: usize) -> T {
        self.get(index)
    }
    fn json<T: DeserializeOwned>(&self, index: usize) -> Option<T> {
        self.get::<Option<Json<T>>, _>(index).map(|Json(value)| value)
    }
}

impl Row for PgRow {
    fn value<T: Column>(&self, index: usize) -> T {
        self.get(index)
    }
    fn json<T: DeserializeOwned>(&self, index: usize) -> Option<T> {
        self.get::<Option<Json<T>>, _>(index).map(|Json(value)| value)
    }
}

/// A value that is stored as JSON, for SeaORM.
#[derive(Deserialize)]
#[serde(transparent)]
struct Stored<T>(T);

impl<T: DeserializeOwned> TryGetableFromJson for Stored<T> {}

impl Row for QueryResult {
    fn value<T: Column>(&self, index: usize) -> T {
        self.try_get_by_index(index).expect("a value of the type of the column")
    }
    fn json<T: DeserializeOwned>(&self, index: usize) -> Option<T> {
        let value: Option<Stored<T>> = self.try_get_by_index(index).expect("JSON or NULL");
        value.map(|Stored(value)| value)
    }
}

/// Reads the columns of a row one after the other.
struct Columns<'r, R> {
    row: &'r R,
    next: usize,
}

impl<R: Row> Columns<'_, R> {
    fn next<T: Column>(&mut self) -> T {
        self.next += 1;
        self.row.value(self.next - 1)
    }

    fn maybe_json<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.next += 1;
        self.row.json(self.next - 1)
    }

    fn json<T: DeserializeOwned>(&mut self) -> T {
        self.maybe_json().expect("not NULL")
    }

    fn maybe_time(&mut self) -> Option<Timestamp> {
        self.next::<Option<_>>().map(stamp)
    }
}

pub fn stamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: i32::try_from(time.timestamp_subsec_nanos()).expect("in range") }
}

/// Converts a JSON object of strings, booleans and numbers to a Struct.
pub fn object(fields: Map<String, Value>) -> Struct {
    let value = |value| match value {
        Value::String(text) => Kind::StringValue(text),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a number")),
        other => panic!("not a string, boolean or number: {other}"),
    };
    Struct { fields: fields.into_iter().map(|(key, found)| (key, value(found).into())).collect() }
}

pub fn etag(uid: Uuid, revision: i64) -> String {
    Etag { uid, revision }.encode(TokenKind::Etag)
}

/// Converts a row to a connection, and reads its attachment revision.
pub fn connection(row: &impl Row) -> (pb::Connection, i64) {
    let mut columns = Columns { row, next: 0 };
    let members: Option<String> = columns.next();
    assert_eq!(columns.next::<i32>(), 0, "exports on the connection can run");
    let id: String = columns.next();
    let uid: Uuid = columns.next();
    let mut connection = pb::Connection {
        name: format!("organizations/acme/connections/{id}"),
        uid: uid.to_string(),
        display_name: columns.next(),
        description: columns.next(),
        connection_type: format!("connectionTypes/{}", columns.next::<String>()),
        schema_version: columns.next(),
        properties: Some(object(columns.json())),
        state: pb::connection::State::Active.into(),
        ..pb::Connection::default()
    };
    let _needs_credential: bool = columns.next();
    connection.credential_status = Some(pb::CredentialStatus {
        auth_method: columns.next::<Option<_>>().unwrap_or_default(),
        set_fields: columns.json(),
        revision: columns.next(),
        set_time: columns.maybe_time(),
        expire_time: columns.maybe_time(),
    });
    connection.sharing = Some(pb::Sharing {
        all_contributors: columns.next(),
        members: members.iter().flat_map(|members| members.lines()).map(ToOwned::to_owned).collect(),
    });
    let _suspended: bool = columns.next();
    connection.suspend_reason = columns.next();
    connection.attached_export_count = columns.next();
    let attachment_revision = columns.next();
    let _last_attached_revision: i64 = columns.next();
    connection.labels = columns.json();
    connection.creator = columns.next();
    connection.create_time = Some(stamp(columns.next()));
    connection.updater = columns.next();
    connection.update_time = Some(stamp(columns.next()));
    connection.etag = etag(uid, columns.next());
    assert!(columns.maybe_json::<Value>().is_none(), "the connection was not tested");
    (connection, attachment_revision)
}

/// Converts rows to a page of a list, of which they may hold one row more.
pub fn list<R: Row>(rows: &[R]) -> pb::ListConnectionsResponse {
    let page = rows.iter().take(super::statements::LIST_PAGE_SIZE);
    let connections: Vec<_> = page.map(|row| connection(row).0).collect();
    let last = connections.last().filter(|_| connections.len() < rows.len());
    pb::ListConnectionsResponse { next_page_token: last.map(|last| last.uid.clone()).unwrap_or_default(), connections }
}

/// A stored export that is attached.
#[derive(Clone)]
pub struct Export {
    pub connection_id: String,
    pub connection_display_name: String,
    pub is_managed: bool,
    pub creator: String,
    pub owner: Option<String>,
    pub id: String,
    pub uid: Uuid,
    pub display_name: String,
    pub description: String,
    pub connection_type: String,
    pub payload: Payload,
    pub schedule: Option<Schedule>,
    pub settings: Map<String, Value>,
    pub file_name: Option<String>,
    pub next_due_time: Option<DateTime<Utc>>,
    pub labels: BTreeMap<String, String>,
    pub create_time: DateTime<Utc>,
    pub updater: String,
    pub update_time: DateTime<Utc>,
    pub revision: i64,
}

/// Reads an export with its newest run.
pub fn export(row: &impl Row) -> Export {
    let mut columns = Columns { row, next: 0 };
    let connection: (Option<String>, Option<String>) = (columns.next(), columns.next());
    let (Some(connection_id), Some(connection_display_name)) = connection else { panic!("the export is detached") };
    assert_eq!(columns.next::<i32>(), 0, "exports on the connection can run");
    let is_managed = columns.next();
    let attachment: (Option<Uuid>, Option<i64>) = (columns.next(), columns.next());
    let detached_from: (Option<Uuid>, Option<String>, Option<String>) =
        (columns.next(), columns.next(), columns.next());
    let (batch_id, principal): (Option<Uuid>, Option<String>) = (columns.next(), columns.next());
    let detached: (Option<DateTime<Utc>>, Option<String>) = (columns.next(), columns.next());
    let pause: (Option<DateTime<Utc>>, i32) = (columns.next(), columns.next());
    assert!(attachment.0.is_some() && attachment.1.is_some() && pause.0.is_none());
    assert!(detached_from == (None, None, None) && (batch_id, principal) == (None, None) && detached == (None, None));
    let export = Export {
        connection_id,
        connection_display_name,
        is_managed,
        creator: columns.next(),
        owner: columns.next(),
        id: columns.next(),
        uid: columns.next(),
        display_name: columns.next(),
        description: columns.next(),
        connection_type: columns.next(),
        payload: columns.json(),
        schedule: columns.maybe_json(),
        settings: columns.json(),
        file_name: columns.next(),
        next_due_time: columns.next(),
        labels: columns.json(),
        create_time: columns.next(),
        updater: columns.next(),
        update_time: columns.next(),
        revision: columns.next(),
    };
    let run: (Option<Uuid>, Option<String>) = (columns.next(), columns.next());
    let times: (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = (columns.next(), columns.next());
    assert!((run, times, columns.next::<Option<String>>()) == ((None, None), (None, None), None), "it has no run");
    export
}

impl Export {
    pub fn name(&self) -> String {
        format!("organizations/acme/exports/{}", self.id)
    }

    pub fn into_message(self) -> pb::Export {
        use pb::export::{CallerAccess, State};
        pb::Export {
            name: self.name(),
            uid: self.uid.to_string(),
            connection: format!("organizations/acme/connections/{}", self.connection_id),
            connection_display_name: self.connection_display_name,
            connection_type: format!("connectionTypes/{}", self.connection_type),
            payload: Some(payload(self.payload)),
            schedule: self.schedule.map(schedule),
            destination_settings: Some(object(self.settings)),
            state: State::Active.into(),
            next_run_time: self.next_due_time.map(stamp),
            caller_access: if self.is_managed { CallerAccess::Manage } else { CallerAccess::View }.into(),
            create_time: Some(stamp(self.create_time)),
            update_time: Some(stamp(self.update_time)),
            etag: etag(self.uid, self.revision),
            display_name: self.display_name,
            description: self.description,
            labels: self.labels,
            owner: self.owner.unwrap_or_else(|| format!("user:{}", self.creator)),
            creator: self.creator,
            updater: self.updater,
            ..pb::Export::default()
        }
    }
}

/// Converts a payload without filters and transforms.
fn payload(payload: Payload) -> pb::Payload {
    let transform = pb::payload_field::Transform::None.into();
    let tables = payload.tables.into_iter().map(|table| pb::PayloadTable {
        table: table.table,
        fields: table
            .fields
            .into_iter()
            .map(|field| pb::PayloadField { field: field.field, output_name: field.output_name, transform })
            .collect(),
        filters: Vec::new(),
    });
    pb::Payload { tables: tables.collect() }
}

/// Converts a schedule that has no more than a cron expression.
fn schedule(schedule: Schedule) -> pb::Schedule {
    let Timing::Cron { expression, time_zone, .. } = schedule.timing else { panic!("not a cron expression") };
    let cron = pb::schedule::Cron { expression, time_zone, ..pb::schedule::Cron::default() };
    pb::Schedule {
        timing: Some(pb::schedule::Timing::Cron(cron)),
        enabled: schedule.enabled,
        overlap_policy: pb::schedule::OverlapPolicy::Skip.into(),
        ..pb::Schedule::default()
    }
}

/// The connection's row in the snapshot of a page of the stream.
#[derive(Clone, Copy)]
pub struct Snapshot {
    pub count: i64,
    pub revision: i64,
    pub time: DateTime<Utc>,
}

/// A page of the stream.
pub struct Page {
    pub messages: Vec<pb::StreamBlockingExportsResponse>,
    pub snapshot: Snapshot,
    /// The position of the last message.
    pub cursor: Cursor,
}

/// The columns of a snapshot.
const SNAPSHOT_COLUMNS: usize = 4;

/// Reads a snapshot.
pub fn snapshot(row: &impl Row) -> Snapshot {
    let mut columns = Columns { row, next: 0 };
    let (count, revision) = (columns.next(), columns.next());
    assert_eq!(columns.next::<i32>(), 0, "exports on the connection can run");
    Snapshot { count, revision, time: columns.next() }
}

/// Converts rows to a page.
pub fn page<R: Row>(rows: &[R], mut cursor: Cursor) -> Page {
    let snapshot = snapshot(rows.first().expect("the connection exists"));
    let mut messages = Vec::with_capacity(rows.len() + 1);
    for row in rows {
        let mut columns = Columns { row, next: SNAPSHOT_COLUMNS };
        let Some(revision) = columns.next() else { continue };
        cursor.last_revision = revision;
        let name = format!("organizations/acme/exports/{}", columns.next::<String>());
        let (display_name, creator) = (columns.next(), columns.next());
        assert_eq!(columns.next::<Option<String>>(), None, "it was not released");
        let state = pb::export::State::Active.into();
        let blocking = Blocking { name, display_name, creator, state, next_run_time: columns.maybe_time() };
        let event = Some(Event::Blocking(blocking));
        messages.push(pb::StreamBlockingExportsResponse { event, cursor: cursor.encode() });
    }
    Page { messages, snapshot, cursor }
}
