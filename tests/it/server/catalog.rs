//! Connection types of the operator: read at start, validated with file, line and reason, and removed.

use std::path::Path;
use std::process::Output;

use outflow::grpc::proto as pb;
use pb::connection::{State, StateReason};

use crate::support::{Clients as _, ErrorExt as _, Process, create_connection, create_export, object, outflow, text};

const TYPE: &str = r#"
id = "drop_box"
display_name = "Drop box"
description = "Takes files that are dropped there."
category = "File storage"
documentation_uri = "https://drop.example/docs"
launch_stage = "PREVIEW"
schema_version = 1
delivered_by = "RUNNER"
min_schedule_interval_seconds = 60
max_concurrent_runs = 1
auth_methods = []
export_fields = []

[[property_fields]]
key = "host"
display_name = "Host"
description = "Host name of the box."
value_type = "HOST"
required = true
binding = true
"#;

/// Runs the binary with one file in its catalog directory.
fn start_with_file(directory: &Path, content: &str) -> Output {
    std::fs::write(directory.join("drop_box.toml"), content).expect("written");
    outflow(directory).env("OUTFLOW_CATALOG_DIR", directory).output().expect("the binary runs")
}

#[test]
fn an_invalid_type_file_is_refused_with_file_line_and_reason() {
    for (from, to, line, word) in [
        ("binding = true", "", 16, "binding"),
        ("binding = true", "binding = false", 21, "HOST"),
        ("id = \"drop_box\"", "id = \"sftp\"", 2, "already defined"),
        ("category", "kategory", 5, "kategory"),
        ("display_name = \"Host\"", "display_name = ", 17, ""),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let output = start_with_file(directory.path(), &TYPE.replacen(from, to, 1));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{to}");
        assert!(errors.contains(&format!("drop_box.toml:{line}:")), "line {line}: {errors}");
        assert!(errors.contains(word), "{word}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_removed_type_are_kept_and_their_exports_blocked() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("drop_box.toml"), TYPE).expect("written");
    let server = Process::start(outflow(directory.path()).env("OUTFLOW_CATALOG_DIR", directory.path()));
    let mut admin = server.admin().await;
    let mut create = create_connection("Box");
    create.credential = None;
    let connection = create.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/drop_box".into();
    connection.properties = Some(object([("host", text("drop.example"))]));
    let created = admin.connections.create_connection(create.clone()).await.expect("created").into_inner();
    let created = created.connection.expect("a connection");
    let mut request = create_export(&created.name, "Weekly");
    request.export.as_mut().expect("an export").destination_settings = None;
    let export = admin.exports.create_export(request).await.expect("created").into_inner().export.expect("an export");
    assert_eq!((created.state(), export.state()), (State::Active, pb::export::State::Active));
    drop(server);

    let server = Process::start(&mut outflow(directory.path()));
    let mut admin = server.admin().await;
    let seen = admin.read_connection(&created.name).await;
    assert_eq!((seen.state(), seen.state_reason()), (State::CredentialRequired, StateReason::TypeUnknown));
    assert_eq!((&seen.properties, &seen.etag), (&created.properties, &created.etag));
    let blocked = admin.read_export(&export.name).await;
    assert_eq!(blocked.state(), pb::export::State::Blocked);
    assert_eq!(blocked.state_reason(), pb::export::StateReason::CredentialRequired);
    let refusal = admin.connections.create_connection(create).await.expect_err("no such type");
    assert_eq!(refusal.fields(), ["connection.connection_type"]);
    // It can still be updated, and deleted once it is not in use.
    let update = pb::UpdateConnectionRequest {
        connection: Some(pb::Connection {
            name: created.name.clone(),
            description: "unknown type".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    admin.connections.update_connection(update).await.expect("updated");
    let delete = pb::DeleteExportRequest { name: export.name, ..Default::default() };
    admin.exports.delete_export(delete).await.expect("deleted");
    let delete = pb::DeleteConnectionRequest { name: created.name, ..Default::default() };
    admin.connections.delete_connection(delete).await.expect("deleted");
}
