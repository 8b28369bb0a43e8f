//! LEAK: a canary secret, sent to every method with logs at TRACE, and used for tests and deliveries of every type that the
//! far side refuses, does not occur in responses, statuses, logs, traces, metrics, the audit log, the files of SQLite, or a
//! dump of PostgreSQL, neither plain nor in base64, hexadecimal, decimal or URL encoding.

mod far_sides;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use outflow::grpc::proto as pb;
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use far_sides::FarSides;

use crate::support::{
    Backend, CallOptions, Client, Clients as _, Names, Process, SAMPLES, create_connection, new_database, object,
    outflow, parent, password, print_line, program, receive_spans, text,
};

/// The encodings in which a secret could occur.
pub fn encodings(secret: &str) -> Vec<String> {
    let mut encodings = vec![secret.to_owned()];
    encodings.push(hexadecimal(secret));
    encodings.push(decimal(secret));
    let is_unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let percent = |byte: u8| if is_unreserved(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    encodings.push(secret.bytes().map(percent).collect());
    // In base64, for each offset within a group of three bytes: the characters that depend on the secret alone.
    for before in 0..3 {
        let bytes = [&b"xx"[..before], secret.as_bytes()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            encodings.push(encoded[[0, 2, 3][before]..encoded.len() - 2].to_owned());
        }
    }
    encodings
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}{byte:02x}"))
}

/// The bytes as a list of numbers, as Rust prints them for debugging.
fn decimal(text: &str) -> String {
    text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_encoding_of_a_secret_is_found_at_every_offset() {
    let secret = "cAnary/7+?&=~";
    for before in 0..6 {
        let text = format!("{}{secret}{}", "a".repeat(before), "z".repeat(6 - before));
        let url =
            text.replace('/', "%2F").replace('+', "%2B").replace('?', "%3F").replace('&', "%26").replace('=', "%3D");
        let base64 = [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)];
        for text in base64.into_iter().chain([hexadecimal(&text), decimal(&text), url, text]) {
            assert!(encodings(secret).iter().any(|encoding| text.contains(encoding)), "{text}");
        }
    }
}

/// All output of a server, by kind.
#[derive(Default)]
struct Haystack(BTreeMap<&'static str, Vec<u8>>);

impl Haystack {
    fn add(&mut self, what: &'static str, bytes: impl AsRef<[u8]>) {
        self.0.entry(what).or_default().extend_from_slice(bytes.as_ref());
    }

    /// Adds a status with its details.
    fn status(&mut self, status: &Status) {
        self.add("statuses", format!("{status:?} {status} "));
        self.add("statuses", status.details());
    }

    /// Adds a response or a status.
    fn response(&mut self, response: Result<Vec<u8>, Status>) {
        match response {
            Ok(bytes) => self.add("responses", bytes),
            Err(status) => self.status(&status),
        }
    }

    /// Adds a message or a status.
    fn message<T: Message>(&mut self, response: Result<Response<T>, Status>) {
        self.response(response.map(|response| response.into_inner().encode_to_vec()));
    }

    /// Adds other output.
    fn extend(&mut self, other: Self) {
        for (what, bytes) in other.0 {
            self.add(what, bytes);
        }
    }

    /// The output of each kind as text, in which bytes that are not UTF-8 are replaced.
    fn into_texts(self) -> BTreeMap<&'static str, String> {
        self.0.into_iter().map(|(what, bytes)| (what, String::from_utf8_lossy(&bytes).into_owned())).collect()
    }
}

/// Calls every method with a valid request, by callers who are permitted and by callers who are not.
async fn call_every_method(server: &Process, secret: &str, haystack: &mut Haystack) -> Names {
    let mut admin = server.admin().await;
    let others = [server.contributor("ann").await, server.viewer().await, server.anonymous().await];
    let mut last = None;
    for (number, sample) in (0..).zip(SAMPLES) {
        let names = Names::make(&mut admin, "acme", number).await;
        for client in others.iter().chain([&admin]) {
            let (secret, request_id) = (secret.to_owned(), Uuid::new_v4().to_string());
            let options = CallOptions { secret, request_id, ..CallOptions::default() };
            let response = sample.call(client, &names, &options).await;
            haystack.response(response.map(|messages| messages.iter().flat_map(Message::encode_to_vec).collect()));
        }
        last = Some(names);
    }
    last.expect("at least one call")
}

/// Sends the secret in requests that are refused: the status may name the field, but must not contain its value.
async fn send_refused_secrets(admin: &mut Client, names: &Names, secret: &str, haystack: &mut Haystack) {
    let types = pb::ListConnectionTypesRequest { page_size: 100, ..Default::default() };
    let types = admin.connections.list_connection_types(types).await.expect("listed").into_inner().connection_types;
    for found in types {
        for method in &found.auth_methods {
            let values = method.credential_fields.iter().map(|field| (field.key.clone(), secret.to_owned()));
            let mut request = create_connection("Refused");
            request.connection.as_mut().expect("a connection").connection_type.clone_from(&found.name);
            request.credential = Some(credential(&method.id, values.collect()));
            haystack.response(admin.connections.create_connection(request).await.map(|_| Vec::new()));
        }
    }
    let invalid = [
        credential("password", BTreeMap::from([("passwort".to_owned(), secret.to_owned())])),
        credential("oauth", BTreeMap::from([("password".to_owned(), secret.to_owned())])),
        credential("password", BTreeMap::from([("password".to_owned(), format!("{secret}\u{0}"))])),
        credential("password", BTreeMap::from([("password".to_owned(), secret.repeat(4_000))])),
        credential("private_key", BTreeMap::from([("private_key".to_owned(), secret.to_owned())])),
    ];
    for credential in invalid {
        let rotate = pb::RotateConnectionCredentialRequest {
            name: names.connection.clone(),
            credential: Some(credential),
            ..Default::default()
        };
        let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err("refused");
        haystack.status(&refusal);
    }
    // A password in a URL, where it is not permitted.
    let mut hook = create_connection("Hook");
    let connection = hook.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/webhook".into();
    connection.properties = Some(object([("url", text(&format!("https://user:{secret}@hooks.example/in")))]));
    haystack.status(&admin.connections.create_connection(hook).await.expect_err("user-info is refused"));
    // The same request id with another secret.
    let mut reused = create_connection("Reused");
    reused.request_id = Uuid::new_v4().to_string();
    admin.connections.create_connection(reused.clone()).await.expect("created");
    reused.credential = Some(password(secret));
    haystack.status(&admin.connections.create_connection(reused).await.expect_err("reused"));
}

fn credential(auth_method: &str, values: BTreeMap<String, String>) -> pb::CredentialInput {
    let inline = pb::credential_input::Inline { values };
    pb::CredentialInput {
        auth_method: auth_method.to_owned(),
        source: Some(pb::credential_input::Source::Inline(inline)),
        expire_time: None,
    }
}

/// Sends the secret in calls that are cancelled, in a header, and as a page token.
async fn send_misplaced_secrets(admin: &mut Client, names: &Names, secret: &str, haystack: &mut Haystack) {
    let create = pb::CreateConnectionRequest { credential: Some(password(secret)), ..create_connection("Cancelled") };
    for timeout_us in (0..4_000).step_by(250) {
        let create = admin.connections.create_connection(create.clone());
        let response = tokio::time::timeout(std::time::Duration::from_micros(timeout_us), create).await;
        haystack.response(response.unwrap_or_else(|_| Err(Status::cancelled(""))).map(|_| Vec::new()));
    }
    let mut request = Request::new(pb::GetConnectionRequest { name: names.connection.clone() });
    request.metadata_mut().insert("x-request-id", secret.parse().expect("ASCII"));
    let response = admin.connections.get_connection(request).await.expect("an invalid request id is replaced");
    haystack.add("responses", format!("{:?}", response.metadata()));
    let list = pb::ListConnectionsRequest { parent: parent(), page_token: secret.to_owned(), ..Default::default() };
    haystack.status(&admin.connections.list_connections(list).await.expect_err("an invalid token"));
}

/// The metrics of a server.
fn scrape(server: &Process) -> String {
    let mut stream = TcpStream::connect(server.admin_address()).expect("a connection");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: outflow\r\nconnection: close\r\n\r\n").expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    response
}

/// Dumps the database: the files of SQLite, or the output of `pg_dump`.
fn dump(backend: Backend, directory: &Path, url: &str) -> Vec<u8> {
    if backend == Backend::Postgres {
        let output = Command::new(program("pg_dump")).args(["--dbname", url]).output().expect("pg_dump runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return output.stdout;
    }
    let files = std::fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.to_string_lossy().contains("outflow.db"));
    files.flat_map(|path| std::fs::read(path).expect("a file")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_response_log_or_database_file() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = outflow(directory.path());
        let (collector, mut spans) = receive_spans();
        command.env("OUTFLOW_LOG", "trace").env("OUTFLOW_TRACES_ENDPOINT", format!("http://{collector}"));
        let far_sides = FarSides::start().await;
        far_sides.configure(&mut command, directory.path());
        let mut url = String::new();
        if backend == Backend::Postgres {
            outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
            url = tokio::task::spawn_blocking(new_database).await.expect("a database");
            command.args(["--database-url", &url]);
        }
        let server = Process::start(&mut command);
        let secret = format!("cAnary/{}+?&=~", Uuid::new_v4());
        let mut haystack = Haystack::default();
        let names = call_every_method(&server, &secret, &mut haystack).await;
        let mut admin = server.admin().await;
        send_refused_secrets(&mut admin, &names, &secret, &mut haystack).await;
        send_misplaced_secrets(&mut admin, &names, &secret, &mut haystack).await;
        far_sides.use_all(&server, &mut haystack).await;
        let list = pb::ListAuditEventsRequest { parent: parent(), page_size: 1_000, ..Default::default() };
        let log = admin.audit.list_audit_events(list).await.expect("listed").into_inner();
        haystack.add("audit log", format!("{log:?}"));
        drop(admin);
        haystack.add("metrics", scrape(&server));
        server.signal("TERM");
        haystack.add("logs", server.wait_for_output());
        while let Ok(span) = spans.try_recv() {
            haystack.add("traces", span.encode_to_vec());
        }
        haystack.add("database", dump(backend, directory.path(), &url));

        let texts = haystack.into_texts();
        // Texts that must be there are found, which proves that the search works.
        for (what, known) in [
            ("responses", "sftp.partner.example"),
            ("statuses", "ROLE_REQUIRED"),
            ("audit log", "RotateConnectionCredential"),
            ("logs", "outflow.v1.ConnectionService/RotateConnectionCredential"),
            ("logs", "TRACE"),
            ("logs", "an attempt of a run did not succeed"),
            ("traces", "outflow.v1.ConnectionService/RotateConnectionCredential"),
            ("traces", "INSERT credentials"),
            ("metrics", "outflow.v1.ConnectionService/RotateConnectionCredential"),
            ("database", "sftp.partner.example"),
        ] {
            assert!(texts[what].contains(known), "{known} is not in the {what}");
        }
        let searched_bytes: usize = texts.values().map(String::len).sum();
        let mut hits = Vec::new();
        for secret in far_sides.secrets.texts().into_iter().chain([secret]) {
            for encoding in encodings(&secret) {
                let found = texts.iter().filter(|(_, text)| text.contains(&encoding));
                hits.extend(found.map(|(what, _)| format!("{encoding} is in the {what}, on {backend:?}")));
            }
        }
        assert!(hits.is_empty(), "{hits:#?}");
        // Tokens are not logged either.
        assert!(!texts["logs"].contains("eyJ"), "a token is in the logs");
        print_line(&format!("gate LEAK, {backend:?}: 0 hits in {searched_bytes} bytes"));
    }
}
