//! LEAK: a canary secret, through every method at TRACE, is found nowhere: not in answers, statuses, logs, the audit log,
//! the files of SQLite, or a dump of PostgreSQL; neither plain nor in base64, hexadecimal or URL form.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use outflow::grpc::proto as pb;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::support::{
    Backend, Client, Clients as _, Names, Process, With, create_connection, every_call, new_database, object, outflow,
    parent, password, print_line, program, text,
};

/// What a secret might look like wherever it came out.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    forms.push(hexadecimal(secret));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let percent = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    forms.push(secret.bytes().map(percent).collect());
    // In base64, by where it begins among three bytes: the letters that only the secret decides.
    for before in 0..3 {
        let bytes = [&b"xx"[..before], secret.as_bytes()].concat();
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded[[0, 2, 3][before]..encoded.len() - 2].to_owned());
        }
    }
    forms
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |written, byte| format!("{written}{byte:02x}"))
}

#[test]
fn every_form_is_found_wherever_it_begins() {
    let secret = "cAnary/7+?&=~";
    for before in 0..6 {
        let text = format!("{}{secret}{}", "a".repeat(before), "z".repeat(6 - before));
        let url =
            text.replace('/', "%2F").replace('+', "%2B").replace('?', "%3F").replace('&', "%26").replace('=', "%3D");
        for written in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text), hexadecimal(&text), url, text] {
            assert!(forms(secret).iter().any(|form| written.contains(form)), "{written}");
        }
    }
}

/// Everything that came out of a server, by what it is.
#[derive(Default)]
struct Haystack(BTreeMap<&'static str, Vec<u8>>);

impl Haystack {
    fn add(&mut self, what: &'static str, bytes: impl AsRef<[u8]>) {
        self.0.entry(what).or_default().extend_from_slice(bytes.as_ref());
    }

    fn status(&mut self, status: &Status) {
        self.add("statuses", format!("{status:?} {status} "));
        self.add("statuses", status.details());
    }

    fn answer(&mut self, answer: Result<Vec<u8>, Status>) {
        match answer {
            Ok(bytes) => self.add("answers", bytes),
            Err(status) => self.status(&status),
        }
    }

    fn find(&self, what: &str, needle: &str) -> usize {
        // Debug of what was answered is in the logs of a client, so text is looked for as well as bytes.
        self.0[what].windows(needle.len()).filter(|window| *window == needle.as_bytes()).count()
    }
}

/// Every method with a good request, by those who may and those who may not.
async fn every_method(server: &Process, secret: &str, haystack: &mut Haystack) -> Names {
    let mut admin = server.admin().await;
    let others = [server.contributor("ann").await, server.viewer().await, server.anonymous().await];
    let mut last = None;
    for (number, call) in (0..).zip(every_call()) {
        let names = Names::make(&mut admin, "acme", number).await;
        for client in others.iter().chain([&admin]) {
            let with = With { secret: secret.to_owned(), request_id: Uuid::new_v4().to_string(), ..With::default() };
            haystack.answer((call.call)(client.clone(), names.clone(), with).await);
        }
        last = Some(names);
    }
    last.expect("some names")
}

/// Secrets where they are refused: the refusal says which field, never what it held.
async fn refused(admin: &mut Client, names: &Names, secret: &str, haystack: &mut Haystack) {
    let types = pb::ListConnectionTypesRequest { page_size: 100, ..Default::default() };
    let types = admin.connections.list_connection_types(types).await.expect("listed").into_inner().connection_types;
    for found in types {
        for method in &found.auth_methods {
            let values = method.credential_fields.iter().map(|field| (field.key.clone(), secret.to_owned()));
            let mut request = create_connection("Refused");
            request.connection.as_mut().expect("a connection").connection_type.clone_from(&found.name);
            request.credential = Some(credential(&method.id, values.collect()));
            haystack.answer(admin.connections.create_connection(request).await.map(|_| Vec::new()));
        }
    }
    let wrong = [
        credential("password", BTreeMap::from([("passwort".to_owned(), secret.to_owned())])),
        credential("oauth", BTreeMap::from([("password".to_owned(), secret.to_owned())])),
        credential("password", BTreeMap::from([("password".to_owned(), format!("{secret}\u{0}"))])),
        credential("password", BTreeMap::from([("password".to_owned(), secret.repeat(4_000))])),
        credential("private_key", BTreeMap::from([("private_key".to_owned(), secret.to_owned())])),
    ];
    for credential in wrong {
        let rotate = pb::RotateConnectionCredentialRequest {
            name: names.connection.clone(),
            credential: Some(credential),
            ..Default::default()
        };
        let refusal = admin.connections.rotate_connection_credential(rotate).await.expect_err("refused");
        haystack.status(&refusal);
    }
    // A password where none belongs, as people paste addresses.
    let mut hook = create_connection("Hook");
    let connection = hook.connection.as_mut().expect("a connection");
    connection.connection_type = "connectionTypes/webhook".into();
    connection.properties = Some(object([("url", text(&format!("https://user:{secret}@hooks.example/in")))]));
    haystack.status(&admin.connections.create_connection(hook).await.expect_err("user-info is refused"));
    // One request id for two secrets.
    let mut twice = create_connection("Twice");
    twice.request_id = Uuid::new_v4().to_string();
    admin.connections.create_connection(twice.clone()).await.expect("created");
    twice.credential = Some(password(secret));
    haystack.status(&admin.connections.create_connection(twice).await.expect_err("reused"));
}

fn credential(auth_method: &str, values: BTreeMap<String, String>) -> pb::CredentialInput {
    let inline = pb::credential_input::Inline { values };
    pb::CredentialInput {
        auth_method: auth_method.to_owned(),
        source: Some(pb::credential_input::Source::Inline(inline)),
        expire_time: None,
    }
}

/// A secret within bytes that are no message, one in a call that is given up, one in a header.
async fn astray(admin: &mut Client, names: &Names, secret: &str, haystack: &mut Haystack) {
    let create = pb::CreateConnectionRequest { credential: Some(password(secret)), ..create_connection("Left") };
    for patience_us in (0..4_000).step_by(250) {
        let create = admin.connections.create_connection(create.clone());
        let answer = tokio::time::timeout(std::time::Duration::from_micros(patience_us), create).await;
        haystack.answer(answer.unwrap_or_else(|_| Err(Status::cancelled(""))).map(|_| Vec::new()));
    }
    let mut strange = Request::new(pb::GetConnectionRequest { name: names.connection.clone() });
    strange.metadata_mut().insert("x-request-id", secret.parse().expect("ASCII"));
    let answer = admin.connections.get_connection(strange).await.expect("an id that is none is replaced");
    haystack.add("answers", format!("{:?}", answer.metadata()));
    let list = pb::ListConnectionsRequest { parent: parent(), page_token: secret.to_owned(), ..Default::default() };
    haystack.status(&admin.connections.list_connections(list).await.expect_err("no token"));
}

/// Every byte that the database holds.
fn dump(backend: Backend, folder: &Path, url: &str) -> Vec<u8> {
    if backend == Backend::Postgres {
        let output = Command::new(program("pg_dump")).args(["--dbname", url]).output().expect("pg_dump runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return output.stdout;
    }
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.to_string_lossy().contains("outflow.db"));
    files.flat_map(|path| std::fs::read(path).expect("a file")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_went_in_is_found_nowhere() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = outflow(folder.path());
        command.env("OUTFLOW_LOG", "trace");
        let mut url = String::new();
        if backend == Backend::Postgres {
            outflow::vault::generate_first(&folder.path().join("keys")).expect("a key");
            url = tokio::task::spawn_blocking(new_database).await.expect("a database");
            command.args(["--database-url", &url]);
        }
        let mut server = Process::start(&mut command);
        let secret = format!("cAnary/{}+?&=~", Uuid::new_v4());
        let mut haystack = Haystack::default();
        let names = every_method(&server, &secret, &mut haystack).await;
        let mut admin = server.admin().await;
        refused(&mut admin, &names, &secret, &mut haystack).await;
        astray(&mut admin, &names, &secret, &mut haystack).await;
        let log = pb::ListAuditEventsRequest { parent: parent(), page_size: 1_000, ..Default::default() };
        let log = admin.audit.list_audit_events(log).await.expect("listed").into_inner();
        haystack.add("audit log", format!("{log:?}"));
        drop(admin);
        server.signal("TERM");
        assert!(server.child.wait().expect("it ends").success());
        haystack.add("logs", server.output.lock().expect("its output").as_bytes());
        haystack.add("database", dump(backend, folder.path(), &url));

        // What is no secret is found, so that what is not found is not there.
        for (what, known) in [
            ("answers", "sftp.partner.example"),
            ("statuses", "ROLE_REQUIRED"),
            ("audit log", "RotateConnectionCredential"),
            ("logs", "outflow.v1.ConnectionService/RotateConnectionCredential"),
            ("logs", "TRACE"),
            ("database", "sftp.partner.example"),
        ] {
            assert!(haystack.find(what, known) > 0, "{known} is not in the {what}");
        }
        let mut looked_at = 0;
        for (what, bytes) in &haystack.0 {
            looked_at += bytes.len();
            for form in forms(&secret) {
                assert_eq!(haystack.find(what, &form), 0, "{form} is in the {what}, on {backend:?}");
            }
        }
        // Nor does a token come out.
        assert_eq!(haystack.find("logs", "eyJ"), 0, "a token is in the logs");
        print_line(&format!("gate LEAK, {backend:?}: 0 hits in {looked_at} bytes"));
    }
}
