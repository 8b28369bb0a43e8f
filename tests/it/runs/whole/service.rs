//! A service in a process of its own, which is killed and restarted.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use outflow::grpc::proto as pb;
use pb::payload_filter::Comparison;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::content::{Shape, ids, write_datasets};
use super::far_side::FarSide;
use crate::support::{Backend, Client, Clients as _, Database, Process, new_database, outflow, parent, with_timeout};

/// The files of a service.
pub struct Files {
    root: tempfile::TempDir,
}

/// A process that runs exports, and its files.
pub struct Service {
    /// What it prints, its address and its tokens.
    pub process: Process,
    /// The URL of its database.
    pub database_url: String,
    command: Command,
    _files: Files,
}

impl Files {
    /// Writes the datasets, and makes a directory for local deliveries.
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let files = Self { root };
        write_datasets(&files.path("datasets"));
        std::fs::create_dir(files.path("outbox")).expect("created");
        files
    }

    /// The path of a file of the process.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

impl Service {
    /// Starts a service that trusts the authorities of the far sides.
    pub async fn start(backend: Backend, files: Files, outbox: &Path, authorities: &str) -> Self {
        let directory = files.path("data");
        std::fs::create_dir(&directory).expect("created");
        outflow::vault::generate_first(&directory.join("keys")).expect("a key");
        let mut database_url = format!("sqlite://{}", directory.join("outflow.db").display());
        if backend == Backend::Postgres {
            database_url = tokio::task::spawn_blocking(new_database).await.expect("a database");
        }
        std::fs::write(files.path("authorities.pem"), authorities).expect("written");
        let mut command = outflow(&directory);
        command.args(["--database-url", &database_url]);
        command.env("OUTFLOW_DATASET_LOCATION", files.path("datasets"));
        command.env("OUTFLOW_LOCAL_DIRECTORY_ROOT", outbox);
        command.env("OUTFLOW_OUTBOUND_CA_FILE", files.path("authorities.pem"));
        command.env("OUTFLOW_OUTBOUND_ALLOWED", "*=127.0.0.0/8");
        command.env("OUTFLOW_RUN_LEASE", "1s").env("OUTFLOW_RUN_HEARTBEAT", "300ms");
        command.env("OUTFLOW_RUN_RETRY_DELAY", "10ms").env("OUTFLOW_RUN_DRAIN_TIMEOUT", "1ms");
        let process = tokio::task::block_in_place(|| Process::start(&mut command));
        Self { process, database_url, command, _files: files }
    }

    /// Connects as an administrator.
    pub async fn admin(&self) -> Client {
        self.process.admin().await
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        self.process.child.kill().expect("killed");
        self.process.child.wait().expect("ended");
    }

    /// Waits until the process has printed a text or has ended.
    pub async fn wait_for_line(&mut self, text: &str) {
        let printed = async {
            while !self.process.output.lock().expect("its output").contains(text)
                && self.process.child.try_wait().expect("its state").is_none()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        with_timeout(text, printed).await;
    }

    /// Waits until the process has stopped, with success.
    pub async fn wait(&mut self) {
        let stopped = async {
            loop {
                if let Some(status) = self.process.child.try_wait().expect("its state") {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(with_timeout("the end of the process", stopped).await.success());
    }

    /// Starts a new process with the same database and files.
    pub fn restart(&mut self) {
        self.process = tokio::task::block_in_place(|| Process::start(&mut self.command));
    }

    /// A pool to its database.
    pub async fn database(&self) -> Database {
        Database::open(&self.database_url).await
    }
}

/// Creates the connection of a far side, and returns its name.
pub async fn connect(admin: &mut Client, far_side: &dyn FarSide) -> String {
    let made = far_side.connection();
    let connection = pb::Connection {
        display_name: made.connection_type.to_owned(),
        connection_type: format!("connectionTypes/{}", made.connection_type),
        properties: Some(to_struct(&made.properties)),
        ..pb::Connection::default()
    };
    let credential = made.credential.map(|(auth_method, fields)| pb::CredentialInput {
        auth_method,
        source: Some(pb::credential_input::Source::Inline(pb::credential_input::Inline {
            values: fields.into_iter().collect(),
        })),
        expire_time: None,
    });
    let connection = Some(connection);
    let request = pb::CreateConnectionRequest { parent: parent(), connection, credential, ..Default::default() };
    admin.connections.create_connection(request).await.expect("created").into_inner().connection.expect("made").name
}

/// Creates an export of the rows from the id `first`, and returns its name.
pub async fn create(
    admin: &mut Client,
    far_side: &dyn FarSide,
    (connection, shape, area): (&str, Shape, &str),
    first: i64,
) -> String {
    let settings = far_side.settings(shape, area);
    let export = pb::Export {
        display_name: area.to_owned(),
        connection: connection.to_owned(),
        payload: Some(payload(far_side.tables(shape), first)),
        destination_settings: Some(to_struct(settings.as_object().expect("an object"))),
        ..pb::Export::default()
    };
    let request = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
    admin.exports.create_export(request).await.expect("created").into_inner().export.expect("made").name
}

/// Changes an export to the rows from the id `first`.
pub async fn change(admin: &mut Client, far_side: &dyn FarSide, (export, shape): (&str, Shape), first: i64) {
    let export = pb::Export {
        name: export.to_owned(),
        payload: Some(payload(far_side.tables(shape), first)),
        ..pb::Export::default()
    };
    let request = pb::UpdateExportRequest {
        export: Some(export),
        update_mask: Some(prost_types::FieldMask { paths: vec!["payload".to_owned()] }),
        ..pb::UpdateExportRequest::default()
    };
    admin.exports.update_export(request).await.expect("changed");
}

#[expect(clippy::cast_precision_loss, reason = "ids are small")]
fn payload(tables: &[&str], first: i64) -> pb::Payload {
    let filter = |comparison: Comparison, id: i64| pb::PayloadFilter {
        field: "id".to_owned(),
        comparison: comparison.into(),
        values: vec![Value { kind: Some(Kind::NumberValue(id as f64)) }],
    };
    let table = |table: &&str| pb::PayloadTable {
        table: (*table).to_owned(),
        fields: Vec::new(),
        filters: vec![
            filter(Comparison::GreaterOrEqual, ids(table, first).start),
            filter(Comparison::Less, ids(table, first).end),
        ],
    };
    pb::Payload { tables: tables.iter().map(table).collect() }
}

pub fn to_struct(object: &serde_json::Map<String, serde_json::Value>) -> Struct {
    let kind = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a small number")),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        other => panic!("{other}"),
    };
    let fields = object.iter().map(|(key, value)| (key.clone(), Value { kind: Some(kind(value)) }));
    Struct { fields: fields.collect() }
}
