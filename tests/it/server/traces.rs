//! Traces: the binary exports them to an OTLP receiver of the test.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use outflow::grpc::proto as pb;
use outflow::model::Clock;
use tokio::sync::mpsc;
use tonic::{Code, Request};

use crate::runs::shared::export_of;
use crate::support::{
    Backend, Client, Clients as _, Issuer, Process, create_connection, issuer_settings, new_database, outflow,
    receive_spans, signal,
};

/// A sampled trace of a client, whose span calls the server.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN_ID: &str = "00f067aa0ba902b7";
/// A trace that its client does not sample.
const UNSAMPLED_TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn in_trace<T>(message: T, trace_id: &str, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let context = format!("00-{trace_id}-{CLIENT_SPAN_ID}-{flags}");
    request.metadata_mut().insert("traceparent", context.parse().expect("ASCII"));
    request
}

async fn traced_calls(admin: &mut Client) {
    let create = create_connection("Quarterly figures");
    let created = admin.connections.create_connection(in_trace(create.clone(), TRACE_ID, "01")).await.expect("created");
    let name = created.into_inner().connection.expect("a connection").name;
    let stream = pb::StreamBlockingExportsRequest { name: name.clone(), ..Default::default() };
    let stream = admin.connections.stream_blocking_exports(in_trace(stream, TRACE_ID, "01")).await;
    let mut stream = stream.expect("a stream").into_inner();
    while stream.message().await.expect("the stream does not fail").is_some() {}
    admin.connections.create_connection(in_trace(create, UNSAMPLED_TRACE_ID, "00")).await.expect("created");
    admin.connections.get_connection(pb::GetConnectionRequest { name }).await.expect("found");
}

fn attributes(span: &Span) -> HashMap<&str, &str> {
    span.attributes
        .iter()
        .filter_map(|attribute| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => Some((attribute.key.as_str(), text.as_str())),
            _ => None,
        })
        .collect()
}

/// The spans whose parent is this one.
fn children<'a>(spans: &'a [Span], parent: &[u8]) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == parent).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_client_to_the_statements() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let (collector, mut received) = receive_spans();
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = outflow(directory.path());
        command.env("OUTFLOW_TRACES_ENDPOINT", format!("http://{collector}")).env("OUTFLOW_LOG_FORMAT", "json");
        if backend == Backend::Postgres {
            let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
            outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
            command.env("OUTFLOW_DATABASE_URL", url);
        }
        let server = Process::start(&mut command);
        traced_calls(&mut server.admin().await).await;
        // The server exports the last spans before it ends.
        server.signal("TERM");
        let log = server.wait_for_output();
        let mut spans = Vec::new();
        while let Ok(span) = received.try_recv() {
            spans.push(span);
        }
        check_trace(&spans, backend, &log);
    }
}

fn check_trace(spans: &[Span], backend: Backend, log: &str) {
    let trace_id = hex(TRACE_ID);
    let trace: Vec<Span> = spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect();
    let calls = children(&trace, &hex(CLIENT_SPAN_ID));
    let names: Vec<_> = calls.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let call = |method: &str| {
        let name = format!("outflow.v1.ConnectionService/{method}");
        let call = *calls.iter().find(|span| span.name == name).expect("the call has a span");
        assert_eq!(call.kind(), SpanKind::Server);
        let attributes = attributes(call);
        let found = ["rpc.system.name", "rpc.method", "rpc.response.status_code"].map(|key| attributes[key]);
        assert_eq!(found, ["grpc", name.as_str(), "OK"]);
        assert_ne!(
            call.status.as_ref().map_or(StatusCode::Unset, opentelemetry_proto::tonic::trace::v1::Status::code),
            StatusCode::Error
        );
        call
    };

    let transactions = children(&trace, &call("CreateConnection").span_id);
    let transactions: Vec<_> = transactions.into_iter().filter(|span| span.name == "transaction").collect();
    assert_eq!(transactions.len(), 1);
    let statements = children(&trace, &transactions[0].span_id);
    let names: Vec<_> = statements.iter().map(|span| span.name.as_str()).collect();
    let (system, expected) = match backend {
        Backend::Sqlite => {
            let commit = "INSERT connections; INSERT credentials; INSERT audit_events; COMMIT";
            ("sqlite", vec!["BEGIN", commit])
        }
        Backend::Postgres => {
            ("postgresql", vec!["BEGIN", "INSERT connections; INSERT credentials; INSERT audit_events", "COMMIT"])
        }
    };
    assert_eq!(names, expected);
    for statement in statements {
        let attributes = attributes(statement);
        assert_eq!(attributes.get("db.system.name"), Some(&system), "{}", statement.name);
        assert_eq!(attributes.get("db.query.summary"), Some(&statement.name.as_str()));
        assert_eq!(statement.kind(), SpanKind::Client);
    }
    let stream = children(&trace, &call("StreamBlockingExports").span_id);
    assert!(stream.iter().any(|span| span.name == "SELECT connections"), "{stream:?}");

    // The decision of the client to sample counts; without one, the ratio does, which is 1 by default.
    assert!(spans.iter().all(|span| span.trace_id != hex(UNSAMPLED_TRACE_ID)));
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert!(roots.iter().any(|span| span.name == "outflow.v1.ConnectionService/GetConnection"));
    // The log names the trace of each call. Spans contain no data.
    let lines = log.lines().filter(|line| line.contains(r#""target":"access""#) && line.contains(TRACE_ID)).count();
    assert_eq!(lines, 2, "{log}");
    let all = format!("{spans:?}");
    for data in ["Quarterly", "acme", "sftp.partner.example"] {
        assert!(!all.contains(data), "{data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_of_a_run_is_a_trace_that_is_linked_to_the_call() {
    let (collector, mut received) = receive_spans();
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_TRACES_ENDPOINT", format!("http://{collector}")).env("OUTFLOW_RUN_MAX_ATTEMPTS", "1");
    let server = Process::start(&mut command);
    let mut admin = server.admin().await;
    let connection = admin.local_directory("partner").await.name;
    let mut names = Vec::new();
    for folder in ["weekly", "blocked"] {
        let export = admin.create(export_of(&connection, "customers", Vec::new(), folder)).await;
        let request = pb::RunExportRequest { name: export, ..Default::default() };
        // A file is where the folder of the second export should be.
        if folder == "blocked" {
            std::fs::write(directory.path().join("outbox/acme/partner/blocked"), "").expect("written");
        }
        let started = admin.exports.run_export(in_trace(request, TRACE_ID, "01")).await.expect("queued").into_inner();
        let run = admin.follow(&started.run.expect("a run").name).await;
        assert_eq!(run.state() == pb::export_run::State::Succeeded, folder == "weekly", "{run:?}");
        names.push(run.name);
    }
    server.signal("TERM");
    server.wait_for_output();
    let spans: Vec<Span> = std::iter::from_fn(|| received.try_recv().ok()).collect();
    for (name, has_failed) in names.iter().zip([false, true]) {
        let is_of_run = |span: &&Span| attributes(span).get("run") == Some(&name.as_str());
        let [run] = spans.iter().filter(is_of_run).collect::<Vec<_>>()[..] else { panic!("not one span of {name}") };
        assert_eq!((run.name.as_str(), run.parent_span_id.len()), ("run", 0));
        assert_ne!(run.trace_id, hex(TRACE_ID));
        let linked: Vec<_> = run.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect();
        let calls = spans.iter().filter(|span| span.name == "outflow.v1.ExportService/RunExport");
        let calls: Vec<_> = calls.map(|call| (call.trace_id.clone(), call.span_id.clone())).collect();
        assert!(linked.len() == 1 && calls.contains(&linked[0]), "{linked:?} {calls:?}");
        let status = run.status.as_ref().map_or(StatusCode::Unset, opentelemetry_proto::tonic::trace::v1::Status::code);
        assert_eq!(status == StatusCode::Error, has_failed, "{run:?}");
        assert!(
            spans.iter().any(|span| span.trace_id == run.trace_id && span.name.starts_with("UPDATE")),
            "statements"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_issuer_carry_the_trace_context() {
    let (collector, mut received) = receive_spans();
    let issuer = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = issuer.local_addr().expect("an address");
    let (sender, mut requests) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let keys = Issuer::generate().key_set();
        for stream in issuer.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let length = stream.read(&mut request).expect("a request");
            let response =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
            stream.write_all(response.as_bytes()).expect("the client reads");
            if sender.send(String::from_utf8_lossy(&request[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_TRACES_ENDPOINT", format!("http://{collector}"));
    for (key, value) in issuer_settings("jwt_jwks_url", &format!("http://{address}/keys")) {
        command.env(format!("OUTFLOW_{}", key.to_uppercase()), value);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map(|line| line.expect("text"));
    let serving = lines.find(|line| line.contains(" serving ")).expect("it serves");
    std::thread::spawn(move || lines.for_each(drop));
    let address = serving.split("address=").nth(1).and_then(|address| address.trim().parse().ok());
    let first = requests.recv().await.expect("the server loads the keys");
    assert!(first.starts_with("GET /keys "), "{first}");

    // A token with an unknown key id makes the server refresh the keys.
    let token = Issuer::generate().token_with_unknown_key(Clock::default().now().timestamp());
    let mut client = Client::connect(address.expect("an address"), Some(&token)).await;
    let get = pb::GetConnectionRequest { name: "organizations/acme/connections/partner".into() };
    let rejected = client.connections.get_connection(get).await.expect_err("the key is unknown");
    assert_eq!(rejected.code(), Code::Unauthenticated);
    let second = requests.recv().await.expect("a refresh");
    let context = second.lines().find_map(|line| line.strip_prefix("traceparent: ")).expect("a trace context");
    signal(&child, "TERM");
    assert!(child.wait().expect("it ends").success());
    let refresh = std::iter::from_fn(|| received.try_recv().ok()).find(|span| span.name == "key_refresh");
    let refresh = refresh.expect("the refresh has a span");
    let [version, trace_id, span_id, flags] = context.trim().split('-').collect::<Vec<_>>()[..] else {
        panic!("{context}")
    };
    assert_eq!((version, flags), ("00", "01"));
    assert_eq!((hex(trace_id), hex(span_id)), (refresh.trace_id, refresh.span_id));
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}
