//! The binary as operators meet it: it says how to reach it, refuses what is unsafe, and stops when told.

use std::process::Output;

use outflow::grpc::proto as pb;
use serde_json::{Value, json};

use crate::support::{Clients as _, Process, create_connection, outflow};

fn errors(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    errors
}

#[test]
fn it_says_how_to_reach_it_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Process::start(&mut outflow(folder.path()));
    assert!(server.hint.contains("token mint --role admin"), "{}", server.hint);
    assert!(!server.hint.contains("eyJ"), "no token is ever printed by serve");
    let minted = outflow(folder.path()).args(["token", "mint", "--role", "viewer"]).output().expect("it mints");
    let token = String::from_utf8(minted.stdout).expect("text");
    assert!(minted.status.success() && token.trim().split('.').count() == 3 && token.lines().count() == 1);
    server.signal("TERM");
    assert!(server.child.wait().expect("it ends").success());
}

#[test]
fn what_is_unsafe_or_unknown_is_refused_before_anything_is_opened() {
    let table: [(&[(&str, &str)], &str); 9] = [
        (&[("OUTFLOW_LISTEN", "0.0.0.0:0")], "identity_mode"),
        (&[("OUTFLOW_LISTEN", "0.0.0.0:0"), ("OUTFLOW_IDENTITY_MODE", "development")], "identity_mode"),
        (&[("OUTFLOW_LISTEN", "0.0.0.0:0"), ("OUTFLOW_IDENTITY_MODE", "jwt")], "tls_cert_file"),
        (&[("OUTFLOW_IDENTITY_MODE", "jwt")], "jwt_issuer"),
        (&[("OUTFLOW_IDENTITY_MODE", "saml")], "identity_mode"),
        (&[("OUTFLOW_TLS_CERT_FILE", "x")], "tls_key_file"),
        (&[("OUTFLOW_COLOUR", "red")], "colour"),
        (&[("OUTFLOW_DATABASE_URL", "mysql://secret@host")], "database URL"),
        (&[("OUTFLOW_DATABASE_URL", "sqlite://other.db")], "keys"),
    ];
    for (variables, word) in table {
        let folder = tempfile::tempdir().expect("a folder");
        let output = outflow(folder.path()).envs(variables.iter().copied()).output().expect("it runs");
        let errors = errors(&output);
        assert!(errors.contains(word), "{variables:?}: {errors}");
        assert!(!errors.contains("secret@"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_one_line_of_the_log_and_every_change_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Process::start(outflow(folder.path()).env("OUTFLOW_LOG_FORMAT", "json"));
    let (mut admin, mut viewer) = (server.admin().await, server.viewer().await);
    let with_id = |request: pb::CreateConnectionRequest, id: &str| {
        let mut request = tonic::Request::new(request);
        request.metadata_mut().insert("x-request-id", id.parse().expect("ASCII"));
        request
    };
    let create = pb::CreateConnectionRequest { connection_id: "partner".into(), ..create_connection("Partner") };
    admin.connections.create_connection(with_id(create.clone(), "call-made")).await.expect("created");
    viewer.connections.create_connection(with_id(create, "call-denied")).await.expect_err("no role");
    // Streams are told when they end: by themselves, because the client has left, or because the server stops.
    let name = "organizations/acme/connections/partner";
    admin.export(name, "Weekly").await;
    let mut streams = Vec::new();
    for (id, follow) in [("stream-read", false), ("stream-left", true), ("stream-stopped", true)] {
        let mut request =
            tonic::Request::new(pb::StreamBlockingExportsRequest { name: name.into(), follow, ..Default::default() });
        request.metadata_mut().insert("x-request-id", id.parse().expect("ASCII"));
        let mut stream = admin.connections.stream_blocking_exports(request).await.expect("opened").into_inner();
        while !matches!(
            stream.message().await.expect("told"),
            None | Some(pb::StreamBlockingExportsResponse {
                event: Some(pb::stream_blocking_exports_response::Event::Summary(_)),
                ..
            })
        ) {}
        streams.push(stream);
    }
    assert!(streams[0].message().await.expect("it ends well").is_none());
    drop(streams.swap_remove(1));
    while !server.said.lock().expect("what it said").contains("stream-left") {
        tokio::task::yield_now().await;
    }
    server.signal("TERM");
    assert!(server.child.wait().expect("it ends").success());

    let said = server.said.lock().expect("what it said").clone();
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |target: &str, key: &str, id: &str| {
        let found: Vec<_> = lines.iter().filter(|line| line["target"] == target && line[key] == id).collect();
        assert_eq!(found.len(), 1, "{target} {id}: {said}");
        found[0].clone()
    };
    for (id, method, code) in [
        ("call-made", "CreateConnection", "Ok"),
        ("call-denied", "CreateConnection", "PermissionDenied"),
        ("stream-read", "StreamBlockingExports", "Ok"),
        ("stream-left", "StreamBlockingExports", "Cancelled"),
        ("stream-stopped", "StreamBlockingExports", "Unavailable"),
    ] {
        let line = of("access", "request_id", id);
        let method = format!("outflow.v1.ConnectionService/{method}");
        assert_eq!((&line["method"], &line["code"]), (&json!(method), &json!(code)));
        assert!(line["latency_us"].as_u64().is_some());
        let principal = line["principal"].as_str().expect("a digest");
        assert!(principal.len() == 16 && !["root", "vera"].contains(&principal), "{principal}");
    }
    let line = of("audit", "call_id", "call-made");
    assert_eq!(line["resource"], "organizations/acme/connections/partner");
    assert_eq!(lines.iter().filter(|line| line["target"] == "audit").count(), 2, "a connection and an export");
}
