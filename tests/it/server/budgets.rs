//! Budgets of requests: counts and bytes are refused before anything is converted, and an organization cannot take all tests
//! and previews.

use std::collections::BTreeMap;
use std::time::Duration;

use outflow::grpc::proto as pb;
use outflow::model::Role;
use pb::preview_export_request::Target as Previewed;
use pb::test_connection_request::Target as Tested;
use prost_types::value::Kind;
use prost_types::{ListValue, Value};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::support::{
    Backend, Client, Clients as _, ErrorExt as _, TestServer, export_on, on_both, on_both_with_datasets, parent,
    password, sftp, text,
};

/// Entries that take much more memory than they have bytes.
const MANY: usize = 33_000;
/// Characters of a text that no name has.
const LONG: usize = 500_000;
/// The longest message of a status.
const MAX_MESSAGE_CHARS: usize = 300;

/// Checks that a request was refused for one field alone: its other parts were not looked at.
fn assert_refused<T: std::fmt::Debug>(what: &str, response: Result<T, Status>, field: &str) {
    let refusal = response.expect_err(what);
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{what}");
    assert_eq!((refusal.fields(), refusal.info("violation_count").as_str()), (vec![field.to_owned()], "1"), "{what}");
    assert!(refusal.message().chars().count() <= MAX_MESSAGE_CHARS, "{what}: {}", refusal.message());
}

fn preview(export: pb::Export) -> pb::PreviewExportRequest {
    pb::PreviewExportRequest { parent: parent(), target: Some(Previewed::Export(export)), ..Default::default() }
}

/// A draft whose payload has one table.
fn with_table(connection: &str, table: pb::PayloadTable) -> pb::Export {
    let table = pb::PayloadTable { table: "customers".to_owned(), ..table };
    pb::Export { payload: Some(pb::Payload { tables: vec![table] }), ..export_on(connection, "Draft") }
}

/// Many values by their keys.
fn many<T>(value: impl Fn() -> T) -> BTreeMap<String, T> {
    (0..MANY / 2).map(|number| (number.to_string(), value())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_to_preview_are_refused_before_they_are_converted() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let filter = pb::PayloadFilter { field: "email".to_owned(), ..Default::default() };
        let values = vec![Value { kind: Some(Kind::BoolValue(true)) }; MANY];
        let draft = || export_on(&connection, "Draft");
        let tables = pb::Payload { tables: vec![pb::PayloadTable::default(); MANY] };
        let settings = prost_types::Struct { fields: many(|| Value { kind: Some(Kind::BoolValue(true)) }) };
        for (what, export, field) in [
            ("tables", pb::Export { payload: Some(tables), ..draft() }, "export.payload.tables"),
            (
                "fields",
                with_table(
                    &connection,
                    pb::PayloadTable { fields: vec![pb::PayloadField::default(); MANY], ..Default::default() },
                ),
                "export.payload.tables",
            ),
            (
                "filters",
                with_table(&connection, pb::PayloadTable { filters: vec![filter.clone(); MANY], ..Default::default() }),
                "export.payload.tables",
            ),
            (
                "values",
                with_table(
                    &connection,
                    pb::PayloadTable { filters: vec![pb::PayloadFilter { values, ..filter }], ..Default::default() },
                ),
                "export.payload.tables",
            ),
            ("settings", pb::Export { destination_settings: Some(settings), ..draft() }, "export.destination_settings"),
            (
                "labels",
                pb::Export { labels: many(|| "\n".to_owned()).into_iter().collect(), ..draft() },
                "export.labels",
            ),
        ] {
            assert_refused(what, admin.exports.preview_export(preview(export)).await, field);
        }
    })
    .await;
}

fn test_of(connection: pb::Connection, credential: pb::CredentialInput) -> pb::TestConnectionRequest {
    pb::TestConnectionRequest {
        parent: parent(),
        target: Some(Tested::Connection(connection)),
        credential: Some(credential),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_to_test_batches_and_filters_are_refused_before_they_are_converted() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let with = |key: &str, kind: Kind| {
        let mut connection = sftp("");
        connection.properties.as_mut().expect("properties").fields.insert(key.to_owned(), Value { kind: Some(kind) });
        connection
    };
    let list = Kind::ListValue(ListValue { values: vec![Value { kind: Some(Kind::NullValue(0)) }; MANY] });
    for (what, connection) in [("a list", with("more", list)), ("a text", with("host", text(&"\n".repeat(LONG))))] {
        let tested = admin.connections.test_connection(test_of(connection, password("x"))).await;
        assert_refused(what, tested, "connection.properties");
    }
    let inline = pb::credential_input::Inline { values: many(String::new).into_iter().collect() };
    let source = Some(pb::credential_input::Source::Inline(inline));
    for credential in [pb::CredentialInput { source, ..password("") }, password(&"\n".repeat(LONG))] {
        let tested = admin.connections.test_connection(test_of(sftp(""), credential)).await;
        assert_refused("a credential", tested, "credential.inline.values");
    }

    let batch = pb::BatchRunExportsRequest { parent: parent(), names: vec![String::new(); MANY], ..Default::default() };
    assert_refused("a batch", admin.exports.batch_run_exports(batch.clone()).await, "names");
    let batch = pb::BatchRunExportsRequest { all_scheduled: true, ..batch };
    assert_refused("all and names", admin.exports.batch_run_exports(batch).await, "names");

    let all = pb::ListExportRunsRequest { parent: format!("{}/exports/-", parent()), ..Default::default() };
    let long = || format!("{}/connections/{}", parent(), "a".repeat(LONG));
    for (what, list, field) in [
        ("a long parent", pb::ListExportRunsRequest { parent: long(), ..all.clone() }, "parent"),
        ("a long connection", pb::ListExportRunsRequest { connection: long(), ..all.clone() }, "connection"),
        ("a state", pb::ListExportRunsRequest { state: i32::MAX, ..all.clone() }, "state"),
        ("a trigger", pb::ListExportRunsRequest { trigger: -1, ..all.clone() }, "trigger"),
        ("a page size", pb::ListExportRunsRequest { page_size: -1, ..all.clone() }, "page_size"),
        (
            "a time",
            pb::ListExportRunsRequest {
                start_time: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 }),
                ..all.clone()
            },
            "start_time",
        ),
    ] {
        assert_refused(what, admin.exports.list_export_runs(list).await, field);
    }
    let list = pb::ListExportRunsRequest { page_token: "a".repeat(LONG), ..all };
    let refusal = admin.exports.list_export_runs(list).await.expect_err("no token");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

/// A draft of a connection to a port of this host.
fn to_port(port: u16) -> pb::Connection {
    let mut connection = sftp("Partner");
    let fields = &mut connection.properties.as_mut().expect("properties").fields;
    fields.insert("host".to_owned(), Value { kind: Some(text("127.0.0.1")) });
    fields.insert("port".to_owned(), Value { kind: Some(Kind::NumberValue(f64::from(port))) });
    connection
}

async fn test(client: &mut Client, organization: &str, port: u16) -> Result<bool, Status> {
    let request = pb::TestConnectionRequest {
        parent: format!("organizations/{organization}"),
        ..test_of(to_port(port), password("secret"))
    };
    Ok(client.connections.test_connection(request).await?.into_inner().passed)
}

fn assert_rate_limited<T: std::fmt::Debug>(response: Result<T, Status>) {
    let refusal = response.expect_err("one too many");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_cannot_take_all_tests() {
    let allowed = vec![("outbound_allowed", "*=127.0.0.1".to_owned())];
    let server = TestServer::start_with(Backend::Sqlite, allowed).await;
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = silent.local_addr().expect("an address").port();
    let mut admin = server.admin().await;
    let stored = {
        let request = pb::CreateConnectionRequest {
            parent: parent(),
            connection: Some(to_port(port)),
            credential: Some(password("secret")),
            ..Default::default()
        };
        admin.connections.create_connection(request).await.expect("created").into_inner().connection.expect("answered")
    };
    let mut running = tokio::task::JoinSet::new();
    let mut accepted = Vec::new();
    for _ in 0..2 {
        let mut client = server.caller("acme", "other", &[Role::Admin], &[]).await;
        running.spawn(async move { test(&mut client, "acme", port).await });
        accepted.push(silent.accept().await.expect("a connection"));
    }
    assert_rate_limited(test(&mut admin, "acme", port).await);
    let saved = pb::TestConnectionRequest {
        parent: parent(),
        target: Some(Tested::Name(stored.name.clone())),
        credential: None,
    };
    assert_rate_limited(admin.connections.test_connection(saved).await);
    let rotate = pb::RotateConnectionCredentialRequest {
        name: stored.name.clone(),
        credential: Some(password("new")),
        test: true,
        ..Default::default()
    };
    assert_rate_limited(admin.connections.rotate_connection_credential(rotate).await);
    assert_eq!(admin.read_connection(&stored.name).await, stored, "the credential was not rotated");
    let mut zeta = server.caller("zeta", "root", &[Role::Admin], &[]).await;
    // Nothing listens on the port of a listener that was closed.
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address").port();
    assert!(!test(&mut zeta, "zeta", closed).await.expect("another organization has limits of its own"));

    // Calls that end, and those whose callers leave, release their permits.
    drop(accepted);
    while let Some(ended) = running.join_next().await {
        assert!(!ended.expect("no panic").expect("tested"));
    }
    let mut leaving = server.admin().await;
    let left = tokio::time::timeout(Duration::from_millis(200), test(&mut leaving, "acme", port));
    left.await.expect_err("it waits for the server");
    let mut begun = 3;
    loop {
        match test(&mut admin, "acme", closed).await {
            Ok(passed) => assert!(!passed),
            refused => {
                assert_rate_limited(refused);
                break;
            }
        }
        begun += 1;
    }
    assert_eq!(begun, 20, "tests in a minute");
    assert!(!test(&mut zeta, "zeta", closed).await.expect("another organization has limits of its own"));
}

/// Creates a connection in an organization, and returns a request that previews a draft.
async fn draft_to_preview(admin: &mut Client, organization: &str) -> pb::PreviewExportRequest {
    let parent = format!("organizations/{organization}");
    let create = pb::CreateConnectionRequest {
        parent: parent.clone(),
        connection: Some(sftp("Partner")),
        credential: Some(password("secret")),
        ..Default::default()
    };
    let created = admin.connections.create_connection(create).await.expect("created").into_inner();
    let draft = export_on(&created.connection.expect("a connection").name, "Draft");
    pb::PreviewExportRequest { parent, ..preview(draft) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_cannot_make_all_previews() {
    let files = [("acme/customers.csv", "email\na@example.com\n"), ("zeta/customers.csv", "email\nz@example.com\n")];
    on_both_with_datasets(&files, async |server: TestServer, location| {
        // A server with limits of calls that do not matter here.
        let settings = vec![
            ("dataset_location", location.to_str().expect("a path").to_owned()),
            ("max_unary_calls", "1024".to_owned()),
            ("max_message_memory_mib", "1024".to_owned()),
        ];
        let server = TestServer::start_with(server.backend, settings).await;
        let mut admin = server.admin().await;
        let request = draft_to_preview(&mut admin, "acme").await;
        let calls = (0..100).map(|_| {
            let (mut admin, request) = (admin.clone(), request.clone());
            async move { admin.exports.preview_export(request).await }
        });
        let (mut previewed, mut refused) = (0, 0);
        for outcome in futures_util::future::join_all(calls).await {
            match outcome {
                Ok(preview) => {
                    assert_eq!(preview.into_inner().files.len(), 1);
                    previewed += 1;
                }
                other => {
                    assert_rate_limited(other);
                    refused += 1;
                }
            }
        }
        assert!(previewed >= 4 && refused > 0, "{previewed} previews at once, {refused} refused");
        admin.exports.preview_export(request).await.expect("the permits were released");
        let mut zeta = server.caller("zeta", "root", &[Role::Admin], &[]).await;
        let request = draft_to_preview(&mut zeta, "zeta").await;
        zeta.exports.preview_export(request).await.expect("another organization has limits of its own");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_requests_wait_for_each_other() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let value = |number: usize| Value { kind: Some(Kind::StringValue(format!("{number:0>100}"))) };
        let filter = pb::PayloadFilter {
            field: "email".to_owned(),
            comparison: pb::payload_filter::Comparison::In.into(),
            values: (0..900).map(value).collect(),
        };
        let table = pb::PayloadTable { filters: vec![filter; 6], ..Default::default() };
        let calls = (0..6).map(async |_| {
            let mut client = admin.clone();
            let export = Some(with_table(&connection, table.clone()));
            let request =
                pb::CreateExportRequest { parent: parent(), export, validate_only: true, ..Default::default() };
            client.exports.create_export(request).await
        });
        for response in futures_util::future::join_all(calls).await {
            let too_large = response.expect_err("an export may have 64 KiB");
            assert_eq!(too_large.code(), Code::InvalidArgument, "each is read and checked in its turn: {too_large:?}");
        }
    })
    .await;
}
