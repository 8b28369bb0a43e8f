//! Several issuers, issuers that are unavailable at start, and the log line of a refused token.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outflow::grpc::proto as pb;
use outflow::model::{Clock, Role};
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::providers::{get_caller, readme_example, settings_of};
use crate::support::{
    Backend, Client, Clients as _, ErrorExt as _, Issuer, TestServer, issuer_settings, on_both, outflow, signal,
    with_timeout,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_can_ask_who_it_is() {
    on_both(async |server| {
        for (roles, expected) in [
            (&[][..], &[][..]),
            (&[Role::Viewer], &[pb::Role::Viewer]),
            (&[Role::Admin, Role::Runner], &[pb::Role::Admin, pb::Role::Runner]),
        ] {
            let found = get_caller(&server, &server.token("zeta", "ann", roles, &["sales", "marketing"])).await;
            let found = found.expect("a caller");
            assert_eq!((found.principal.as_str(), found.organization.as_str()), ("ann", "organizations/zeta"));
            assert_eq!(found.roles().collect::<Vec<_>>(), expected);
            assert_eq!(found.groups, ["marketing", "sales"]);
            let expiry = found.expire_time.expect("an expiry").seconds;
            assert!(expiry > server.clock.now().timestamp());
        }
        let refused = get_caller(&server, "x").await.expect_err("no token");
        assert_eq!((refused.code(), refused.reason().as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    })
    .await;
}

/// Puts key sets into the entries of the example for several issuers.
fn with_key_sets(settings: &mut [(&'static str, String)], directory: &Path, issuers: [(&str, &Issuer); 2]) {
    let (_, text) = settings.iter_mut().find(|(key, _)| *key == "jwt_issuers").expect("issuers");
    let mut entries: toml::Table = text.parse().expect("TOML");
    for (name, issuer) in issuers {
        let path = directory.join(format!("{name}.json"));
        std::fs::write(&path, issuer.key_set()).expect("written");
        let entry = entries[name].as_table_mut().expect("an entry");
        entry.remove("jwks_url");
        entry.insert("jwks_file".to_owned(), path.to_str().expect("a path").into());
    }
    *text = entries.to_string();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_belongs_to_the_issuer_that_it_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let (people, machines) = (Issuer::generate_rsa(), Issuer::generate());
    let mut settings = settings_of(&readme_example("Several issuers"));
    with_key_sets(&mut settings, directory.path(), [("people", &people), ("machines", &machines)]);
    let server = TestServer::start_with(Backend::Sqlite, settings).await;
    let now = server.clock.now().timestamp();
    let claims = |issuer: &str, changes: Value| {
        let mut claims = json!({
            "iss": issuer, "aud": "outflow", "iat": now, "exp": now + 60, "organization": "acme", "sub": "ann",
            "roles": ["admin"],
        });
        claims.as_object_mut().expect("claims").extend(changes.as_object().expect("claims").clone());
        claims
    };
    let of_people = |changes: Value| claims("https://keycloak.example.com/realms/acme", changes);
    let of_machines = |changes: Value| {
        let mut claims = claims("https://machines.example.com", json!({"client_id": "ann", "scope": "outflow.read x"}));
        claims.as_object_mut().expect("claims").extend(changes.as_object().expect("claims").clone());
        claims
    };
    let person = get_caller(&server, &people.sign(None, &of_people(json!({})))).await.expect("a person");
    assert_eq!((person.principal.as_str(), person.roles().collect::<Vec<_>>()), ("ann", vec![pb::Role::Admin]));
    let machine = get_caller(&server, &machines.sign(None, &of_machines(json!({})))).await.expect("a machine");
    assert_eq!(
        (machine.principal.as_str(), machine.roles().collect::<Vec<_>>()),
        ("machine:ann", vec![pb::Role::Viewer])
    );
    for (case, token) in [
        ("signed by the other issuer", machines.sign(None, &of_people(json!({})))),
        ("signed by the other issuer", people.sign(None, &of_machines(json!({})))),
        (
            "an audience of the other issuer",
            people.sign(None, &of_people(json!({"aud": "https://outflow.example.com"}))),
        ),
        ("an unknown issuer", people.sign(None, &claims("https://other.example.com", json!({})))),
        ("a subject with the prefix of the other issuer", people.sign(None, &of_people(json!({"sub": "machine:ann"})))),
    ] {
        assert_eq!(
            get_caller(&server, &token).await.map_err(|status| status.code()),
            Err(Code::Unauthenticated),
            "{case}"
        );
    }
}

/// Serves a key set once `up` is set; before, its status is 503.
fn key_server(issuer: &Issuer, up: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (keys, up) = (issuer.key_set(), Arc::clone(up));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let (status, body) = if up.load(Ordering::SeqCst) { ("200 OK", keys.as_str()) } else { ("503 Down", "") };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_issuer_is_unavailable_at_start_is_not_ready_until_it_has_the_keys() {
    let (issuer, up) = (Issuer::generate(), Arc::new(AtomicBool::new(false)));
    let url = format!("http://{}/keys", key_server(&issuer, &up));
    let server = TestServer::start_with(Backend::Sqlite, issuer_settings("jwt_jwks_url", &url)).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("the server listens"));
    let status = health.check(HealthCheckRequest::default()).await.expect("a status").into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    let token = issuer.token(&[], server.clock.now().timestamp());
    let refused = get_caller(&server, &token).await.expect_err("there are no keys");
    assert_eq!((refused.code(), refused.reason().as_str()), (Code::Unavailable, "IDENTITY_KEYS_UNAVAILABLE"));

    up.store(true, Ordering::SeqCst);
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    with_timeout("readiness", async {
        while watched.message().await.expect("a message").expect("a status").status() != ServingStatus::Serving {}
    })
    .await;
    assert_eq!(get_caller(&server, &token).await.expect("a caller").principal, "corp:ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_leaves_one_line_for_the_operator() {
    let directory = tempfile::tempdir().expect("a directory");
    let (issuer, key_set) = (Issuer::generate(), directory.path().join("jwks.json"));
    std::fs::write(&key_set, issuer.key_set()).expect("written");
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_LOG_FORMAT", "json");
    for (key, value) in issuer_settings("jwt_jwks_file", key_set.to_str().expect("a path")) {
        command.env(format!("OUTFLOW_{}", key.to_uppercase()), value);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"));
    let serving = lines.find(|line| line["message"] == "serving").expect("it serves");
    let address = serving["address"].as_str().and_then(|address| address.parse().ok()).expect("an address");
    let now = Clock::default().now().timestamp();
    let with = |claim: &str, value: Value| issuer.token(&[(claim, value)], now);
    let tokens = [
        with("aud", json!(["another", "\u{202e}evil\n"])),
        with("aud", json!("a third")),
        with("iss", json!("https://issuer.example/")),
        with("exp", json!(now - 4_000)),
        with("org", json!({"id": ["acme", "globex"]})),
    ];
    for token in &tokens {
        let mut client = Client::connect(address, Some(token)).await;
        let refused = client.identity.get_caller(pb::GetCallerRequest {}).await.expect_err("the token is refused");
        assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "a valid bearer token is required"));
    }
    signal(&child, "TERM");
    let rest: Vec<Value> = lines.collect();
    assert!(child.wait().expect("it ends").success());
    let refused: Vec<&Value> = rest.iter().filter(|line| line["message"] == "refused a caller").collect();
    let field = |name: &str| refused.iter().map(|line| line[name].as_str().unwrap_or("-")).collect::<Vec<_>>();
    assert_eq!(field("reason"), ["audience", "issuer", "expired", "organization"], "{refused:#?}");
    assert!(refused.iter().all(|line| line["level"] == "WARN" && line["request_id"].is_string()), "{refused:#?}");
    assert_eq!(field("expected_issuer"), ["https://issuer.example"; 4]);
    assert_eq!(field("seen_issuer")[1], "\"https://issuer.example/\"");
    assert_eq!(field("expected_audience"), ["outflow", "-", "outflow", "outflow"]);
    assert_eq!(field("seen_audience")[0], "[\"another\",\"\\u{202e}evil\\n\"]");
    let details = field("detail");
    assert_eq!(details[1], "the issuer differs from a configured one in a trailing slash");
    assert!(
        details[2].starts_with("the token expired 4") && details[3].contains("names several organizations"),
        "{details:?}"
    );
    let log = rest.iter().map(Value::to_string).collect::<String>();
    assert!(
        tokens.iter().flat_map(|token| token.split('.')).all(|part| !log.contains(part)),
        "a part of a token is logged"
    );
    assert!(!log.contains("globex"), "another claim is logged");
}
