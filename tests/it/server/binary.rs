//! The binary as operators meet it: it says how to reach it, refuses what is unsafe, and stops when told.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use outflow::grpc::proto as pb;
use serde_json::{Value, json};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Clients as _, Process, admin_address, create_connection, outflow, signal, with_timeout};

fn errors(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    errors
}

#[test]
fn it_says_how_to_reach_it_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Process::start(&mut outflow(folder.path()));
    assert!(server.example.contains("token mint --role admin"), "{}", server.example);
    assert!(!server.example.contains("eyJ"), "no token is ever printed by serve");
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

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    for key in ["20261101", "20261102"] {
        let made = outflow(folder.path()).args(["keys", "generate", "--id", key]).output().expect("it runs");
        assert!(made.status.success());
    }
    std::fs::write(path("outflow.toml"), "primary_key = \"nobody\"\nlog = \"warn\"\nreflection = true\n")
        .expect("written");
    let primary = |command: &mut Command| {
        let output = command.args(["keys", "list"]).output().expect("it runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let with_file = || {
        let mut command = outflow(folder.path());
        command.arg("--config").arg(path("outflow.toml"));
        command
    };
    assert!(!primary(&mut with_file()).0, "the file's key is not there");
    // A key's id is text, though it has digits only; numbers and switches are read from text.
    let mut command = with_file();
    command.env("OUTFLOW_PRIMARY_KEY", "20261101").env("OUTFLOW_DATABASE_MAX_CONNECTIONS", "7");
    command.env("OUTFLOW_REFLECTION", "false").env("OUTFLOW_PORT", "tcp://10.0.0.1:443");
    assert_eq!(primary(&mut command), (true, "20261101 (primary)\n20261102\n".to_owned()));
    let elsewhere = || {
        let mut command = with_file();
        command.env("OUTFLOW_PRIMARY_KEY", "20261101").env("OUTFLOW_KEY_DIR", path("absent"));
        command
    };
    assert!(!primary(&mut elsewhere()).0);
    assert!(primary(elsewhere().arg("--key-dir").arg(path("keys"))).0, "the flag wins");
    for (variable, value, word) in [
        ("OUTFLOW_DATABASE_MAX_CONNECTIONS", "many", "database_max_connections"),
        ("OUTFLOW_REFLECTION", "perhaps", "reflection"),
        ("OUTFLOW_PORT", "8080", "port"),
        ("OUTFLOW_CATALOG_DIR", "absent", "absent"),
    ] {
        let output = outflow(folder.path()).env(variable, value).args(["config", "check"]).output().expect("it runs");
        let errors = errors(&output);
        assert!(errors.contains(word), "{variable}: {errors}");
    }
}

#[test]
fn a_database_that_cannot_be_had_is_explained_on_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = "postgres://outflow:secret@127.0.0.1:1/outflow";
    let output = outflow(folder.path()).env("OUTFLOW_DATABASE_URL", nowhere).args(["migrate", "up"]).output();
    let errors = errors(&output.expect("it runs"));
    assert!(errors.contains("gave no connection") && !errors.contains("secret"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_its_schema_lives_and_is_not_ready() {
    let folder = tempfile::tempdir().expect("a folder");
    let waiting = || {
        let mut command = outflow(folder.path());
        command.env("OUTFLOW_MIGRATE", "check");
        command
    };
    let healthy = |probes: SocketAddr| {
        let mut command = outflow(folder.path());
        command.env("OUTFLOW_ADMIN_LISTEN", probes.to_string()).arg("healthcheck");
        command.output().expect("it runs").status.success()
    };
    let mut child = waiting().stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let probes = lines.find_map(|line| admin_address(&line.expect("text"))).expect("it says where");
    let endpoint = Endpoint::from_shared(format!("http://{probes}")).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("it answers probes"));
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    assert_eq!(health.check(ask("liveness")).await.expect("alive").into_inner().status(), ServingStatus::Serving);
    assert_eq!(health.check(ask("")).await.expect("alive").into_inner().status(), ServingStatus::NotServing);
    assert!(!healthy(probes));
    // Told to stop while it waits, it stops.
    signal(&child, "TERM");
    assert!(child.wait().expect("it ends").success());

    let status = |word: &str| {
        let output = outflow(folder.path()).args(["migrate", "status"]).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text").lines().filter(|line| line.starts_with(word)).count()
    };
    let steps = status("pending");
    assert!(steps > 0 && status("applied") == 0);
    assert!(!outflow(folder.path()).args(["migrate", "check"]).output().expect("it runs").status.success());
    let server = Process::start_with(&mut waiting(), || {
        assert!(outflow(folder.path()).args(["migrate", "up"]).output().expect("it runs").status.success());
    });
    assert_eq!((status("applied"), status("pending")), (steps, 0));
    let probes = server.admin_address();
    assert!(healthy(probes));
    drop(server);
    assert!(!healthy(probes), "nobody is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_one_line_of_the_log_and_every_change_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::start(outflow(folder.path()).env("OUTFLOW_LOG_FORMAT", "json"));
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
    with_timeout("the line of a stream whose client has left", async {
        while !server.output.lock().expect("its output").contains("stream-left") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.signal("TERM");
    let said = server.wait_for_output();
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
    assert_eq!(of("audit", "call_id", "call-denied")["message"], "denied");
    assert_eq!(lines.iter().filter(|line| line["target"] == "audit").count(), 3, "a connection, an export, a denial");
}
