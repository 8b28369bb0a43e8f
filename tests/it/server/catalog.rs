//! The operator's own connection types: read at start, refused with file, line and reason, missed when they are gone.

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
fn with_file(folder: &Path, content: &str) -> Output {
    std::fs::write(folder.join("drop_box.toml"), content).expect("written");
    outflow(folder).env("OUTFLOW_CATALOG_DIR", folder).output().expect("it runs")
}

#[test]
fn a_file_that_is_wrong_is_refused_with_file_line_and_reason() {
    for (from, to, line, word) in [
        ("binding = true", "", 16, "binding"),
        ("binding = true", "binding = false", 21, "HOST"),
        ("id = \"drop_box\"", "id = \"sftp\"", 2, "already defined"),
        ("category", "kategory", 5, "kategory"),
        ("display_name = \"Host\"", "display_name = ", 17, ""),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let output = with_file(folder.path(), &TYPE.replacen(from, to, 1));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{to}");
        assert!(errors.contains(&format!("drop_box.toml:{line}:")), "line {line}: {errors}");
        assert!(errors.contains(word), "{word}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_type_that_is_gone_stay_and_are_blocked() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("drop_box.toml"), TYPE).expect("written");
    let server = Process::start(outflow(folder.path()).env("OUTFLOW_CATALOG_DIR", folder.path()));
    let mut admin = server.admin().await;
    let mut create = create_connection("Box");
    create.credential = None;
    let connection = create.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/drop_box".into();
    connection.properties = Some(object([("host", text("drop.example"))]));
    let made = admin.connections.create_connection(create.clone()).await.expect("created").into_inner();
    let made = made.connection.expect("answered");
    let mut request = create_export(&made.name, "Weekly");
    request.export.as_mut().expect("an export").destination_settings = None;
    let export = admin.exports.create_export(request).await.expect("created").into_inner().export.expect("answered");
    assert_eq!((made.state(), export.state()), (State::Active, pb::export::State::Active));
    drop(server);

    let server = Process::start(&mut outflow(folder.path()));
    let mut admin = server.admin().await;
    let seen = admin.read_connection(&made.name).await;
    assert_eq!((seen.state(), seen.state_reason()), (State::CredentialRequired, StateReason::TypeUnknown));
    assert_eq!((&seen.properties, &seen.etag), (&made.properties, &made.etag));
    let blocked = admin.read_export(&export.name).await;
    assert_eq!(blocked.state(), pb::export::State::Blocked);
    assert_eq!(blocked.state_reason(), pb::export::StateReason::CredentialRequired);
    let refusal = admin.connections.create_connection(create).await.expect_err("no such type");
    assert_eq!(refusal.fields(), ["connection.connection_type"]);
    // It can still be described, emptied and removed.
    let described = pb::UpdateConnectionRequest {
        connection: Some(pb::Connection { name: made.name.clone(), description: "gone".into(), ..Default::default() }),
        ..Default::default()
    };
    admin.connections.update_connection(described).await.expect("described");
    let delete = pb::DeleteExportRequest { name: export.name, ..Default::default() };
    admin.exports.delete_export(delete).await.expect("removed");
    let delete = pb::DeleteConnectionRequest { name: made.name, ..Default::default() };
    admin.connections.delete_connection(delete).await.expect("removed");
}
