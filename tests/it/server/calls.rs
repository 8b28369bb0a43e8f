//! The middleware (request ids, deadlines, limits, the status of calls that reach no handler), and the retention task.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outflow::grpc::proto as pb;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use outflow::model::Role;
use prost::Message as _;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use tower::Service;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, lock_connections, on_both};

async fn channel(server: &TestServer) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    endpoint.connect().await.expect("the server listens")
}

/// Sends a ListConnectionTypesRequest to a method, which must refuse it.
async fn send(server: &TestServer, path: &'static str, token: &str) -> Status {
    let mut client = tonic::client::Grpc::new(channel(server).await);
    client.ready().await.expect("connected");
    let mut request = Request::new(pb::ListConnectionTypesRequest { page_size: 5, ..Default::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    let codec = tonic_prost::ProstCodec::<_, pb::GetConnectionResponse>::default();
    client.unary(request, PathAndQuery::from_static(path), codec).await.expect_err("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_headers_are_refused() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut viewer = server.viewer().await;
    let mut request = Request::new(pb::ListConnectionTypesRequest::default());
    request.metadata_mut().insert("x-padding", "a".repeat(17 * 1024).parse().expect("ASCII"));
    viewer.connections.list_connection_types(request).await.expect_err("too large");
    viewer
        .connections
        .list_connection_types(pb::ListConnectionTypesRequest::default())
        .await
        .expect("the connection still works");
}

/// An HTTP/2 client that leaves `grpc-timeout` to the server. tonic's client enforces the timeout itself.
async fn client_without_timeout(
    server: &TestServer,
) -> impl Service<http::Request<Body>, Response = http::Response<Incoming>, Error = hyper::Error, Future: Send> {
    let stream = tokio::net::TcpStream::connect(server.address).await.expect("the server listens");
    let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = connected.expect("HTTP/2");
    tokio::spawn(connection);
    tower::service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_a_request_id_header() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut viewer = server.viewer().await;
    for (sent, is_accepted) in [("order-66.a_b", true), ("white space", false), (&"x".repeat(65), false)] {
        let mut request = Request::new(pb::ListConnectionTypesRequest::default());
        request.metadata_mut().insert("x-request-id", sent.parse().expect("ASCII"));
        let response = viewer.connections.list_connection_types(request).await.expect("a response");
        let id = response.metadata().get("x-request-id").expect("an id").to_str().expect("ASCII").to_owned();
        assert_eq!(id == sent, is_accepted, "{sent} became {id}");
    }
    let mut anonymous = server.anonymous().await;
    let refusal = anonymous.connections.list_connection_types(pb::ListConnectionTypesRequest::default()).await;
    let refusal = refusal.expect_err("no token");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    assert!(refusal.metadata().contains_key("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_unimplemented() {
    let server = TestServer::start(Backend::Sqlite).await;
    let token = server.token("acme", "root", &[Role::Admin], &[]);
    let refusal = send(&server, "/outflow.v1.ConnectionService/GetConnection", &token).await;
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "UNDECODABLE"));
    let refusal = send(&server, "/outflow.v1.ConnectionService/Nonsense", &token).await;
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unimplemented, "UNIMPLEMENTED"));
}

/// Sends bytes as the body of a call.
async fn send_bytes(server: &TestServer, body: Vec<u8>, compression: &str) -> Status {
    let token = server.token("acme", "root", &[Role::Admin], &[]);
    let request = http::Request::post(format!("http://{}/outflow.v1.ConnectionService/GetConnection", server.address))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/grpc")
        .header("grpc-encoding", compression)
        .body(Body::new(Full::new(Bytes::from(body))))
        .expect("a request");
    let response = client_without_timeout(server).await.call(request).await.expect("a response");
    assert!(response.body().is_end_stream(), "some clients accept no body after a status in the headers");
    Status::from_header_map(response.headers()).expect("a status in the headers")
}

#[tokio::test(flavor = "multi_thread")]
async fn undecodable_bodies_are_refused_with_a_reason() {
    let server = TestServer::start(Backend::Sqlite).await;
    let framed = |flag: u8, length: u32, bytes: &[u8]| [&[flag], &length.to_be_bytes()[..], bytes].concat();
    let large = vec![0; 5 * 1024 * 1024];
    for (body, compression, code, reason, message) in [
        (framed(0, 5_242_880, &large), "identity", Code::InvalidArgument, "UNDECODABLE", "at most 786432 bytes"),
        (framed(0, 10, b"short"), "identity", Code::InvalidArgument, "UNDECODABLE", "EOF"),
        (framed(7, 0, b""), "identity", Code::InvalidArgument, "UNDECODABLE", "flag"),
        (framed(1, 5, b"plain"), "gzip", Code::InvalidArgument, "UNDECODABLE", "decompressing"),
        (
            framed(0, 2, b"\xff\xff"),
            "identity",
            Code::InvalidArgument,
            "UNDECODABLE",
            "not a valid GetConnectionRequest",
        ),
        (Vec::new(), "identity", Code::InvalidArgument, "UNDECODABLE", "Missing"),
        (framed(1, 5, b"plain"), "br", Code::Unimplemented, "UNIMPLEMENTED", "br"),
    ] {
        let refusal = send_bytes(&server, body, compression).await;
        assert_eq!((refusal.code(), refusal.reason().as_str()), (code, reason), "{message}: {refusal:?}");
        assert!(refusal.message().contains(message), "{message}: {}", refusal.message());
        assert!(refusal.metadata().contains_key("x-request-id"));
    }
    let absent = pb::GetConnectionRequest { name: format!("{}/connections/absent", crate::support::parent()) };
    let body = framed(0, u32::try_from(absent.encoded_len()).expect("small"), &absent.encode_to_vec());
    assert_eq!(send_bytes(&server, body, "identity").await.code(), Code::NotFound);
    // 64 MiB of zeros, compressed: the limit applies to the decompressed size too.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::repeat(0).take(64 * 1024 * 1024), &mut bomb).expect("compressed");
    let bomb = bomb.finish().expect("compressed");
    let refusal = send_bytes(&server, framed(1, u32::try_from(bomb.len()).expect("small"), &bomb), "gzip").await;
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "UNDECODABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_deadline_and_changes_nothing() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Locked").await;
    let lock = lock_connections(&server.database_url).await;

    let mut request = Request::new(pb::SuspendConnectionRequest {
        name: connection.name.clone(),
        reason: "too late".into(),
        ..Default::default()
    });
    let token = server.token("acme", "root", &[Role::Admin], &[]);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    request.metadata_mut().insert("grpc-timeout", "200m".parse().expect("ASCII"));
    let origin = format!("http://{}", server.address).parse().expect("an origin");
    let mut client = ConnectionServiceClient::with_origin(client_without_timeout(&server).await, origin);
    let refusal = client.suspend_connection(request).await.expect_err("the row is locked");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    lock.rollback().await.expect("rolled back");
    // The next call waits until the abandoned transaction releases the row, which is unchanged.
    let resume = pb::ResumeConnectionRequest { name: connection.name.clone(), ..Default::default() };
    let resumed = admin.connections.resume_connection(resume).await.expect("a response").into_inner();
    assert_eq!(resumed.connection.expect("a connection"), connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_timeout_is_a_conflict() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Locked").await;
    let lock = lock_connections(&server.database_url).await;
    let request = pb::ResumeConnectionRequest { name: connection.name, ..Default::default() };
    let refusal = admin.connections.resume_connection(request).await.expect_err("the row is locked");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "CONFLICT"));
    lock.rollback().await.expect("rolled back");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_limit_are_refused_with_a_retry_delay() {
    let server = TestServer::start_with(Backend::Postgres, vec![("max_unary_calls", "8".to_owned())]).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Locked").await;
    let lock = lock_connections(&server.database_url).await;
    let stop = Arc::<AtomicBool>::default();
    let mut blocked = tokio::task::JoinSet::new();
    for principal in 0..8 {
        let admin = server.caller("acme", &format!("caller-{principal}"), &[Role::Admin], &[]).await;
        for _ in 0..4 {
            let (mut admin, name, stop) = (admin.clone(), connection.name.clone(), Arc::clone(&stop));
            blocked.spawn(async move {
                let mut reasons = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = pb::ResumeConnectionRequest { name: name.clone(), ..Default::default() };
                    let resumed = admin.connections.resume_connection(request).await;
                    reasons.extend(resumed.err().map(|refusal| refusal.reason()));
                }
                reasons
            });
        }
    }
    let mut viewer = server.viewer().await;
    let refusal = loop {
        match viewer.connections.list_connection_types(pb::ListConnectionTypesRequest::default()).await {
            Ok(_) => {}
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert!(refusal.get_error_details().retry_info().is_some());
    stop.store(true, Ordering::Relaxed);
    lock.rollback().await.expect("rolled back");
    for reason in blocked.join_all().await.into_iter().flatten() {
        assert!(["RATE_LIMITED", "OVERLOADED", "CONFLICT"].contains(&reason.as_str()), "{reason}");
    }
    // The permits are released.
    viewer.connections.list_connection_types(pb::ListConnectionTypesRequest::default()).await.expect("a response");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_open_a_stream_for_each_refused_call() {
    let server = TestServer::start(Backend::Sqlite).await;
    let (anonymous, viewer) = (server.anonymous().await, server.viewer().await);
    for (client, code) in [(anonymous, Code::Unauthenticated), (viewer, Code::PermissionDenied)] {
        let calls = (0..3_000).map(|_| {
            let mut client = client.clone();
            let remove =
                pb::DeleteConnectionRequest { name: "organizations/acme/connections/c".into(), ..Default::default() };
            async move { client.connections.delete_connection(remove).await.expect_err("refused") }
        });
        // As many at the same time as a connection permits.
        let refusals: Vec<_> = stream::iter(calls).buffer_unordered(200).collect().await;
        assert!(refusals.iter().all(|refusal| refusal.code() == code), "{code:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_need_no_token() {
    on_both(async |server| {
        let file = server.data_dir.join("outflow.db");
        assert_eq!(file.exists(), server.backend == Backend::Sqlite);
        let mut health = HealthClient::new(channel(&server).await);
        for service in [
            "",
            "outflow.v1.ConnectionService",
            "outflow.v1.ExportService",
            "outflow.v1.AuditService",
            "outflow.v1.IdentityService",
        ] {
            let request = HealthCheckRequest { service: service.into() };
            let response = health.check(request).await.expect("a response").into_inner();
            assert_eq!(response.status(), ServingStatus::Serving, "{service}");
        }
    })
    .await;
}

/// Deletes expired rows, and returns how many there were.
async fn delete_expired(server: &TestServer) -> u64 {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let retention = outflow::store::Retention {
        request_ids: hours(24),
        releases: hours(24),
        denied: hours(24 * 30),
        audit: hours(24 * 400),
        runs: hours(24 * 90),
    };
    let task = outflow::background::RetentionJob::new(server.app.store().clone(), retention);
    task.delete().await.expect("deleted")
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_rows_are_deleted_and_the_others_stay() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = crate::support::create_connection("Once");
        request.request_id = "01931f6e-7c4b-7000-8000-000000000001".into();
        let first = admin.connections.create_connection(request.clone()).await.expect("created").into_inner();
        assert_eq!(delete_expired(&server).await, 0);
        let again = admin.connections.create_connection(request.clone()).await.expect("replayed").into_inner();
        assert_eq!(again, first);
        // A release, which is kept for streams that follow, and a denied attempt.
        let connection = first.connection.clone().expect("a connection").name;
        let export = admin.export(&connection, "Detached").await.name;
        let detach = pb::DetachExportRequest { name: export, ..Default::default() };
        admin.exports.detach_export(detach).await.expect("detached");
        let get = pb::GetConnectionRequest { name: connection };
        server.viewer().await.connections.get_connection(get).await.expect_err("no role");
        let list = || pb::ListAuditEventsRequest { parent: crate::support::parent(), ..Default::default() };
        let events = admin.audit.list_audit_events(list()).await.expect("listed").into_inner().audit_events;
        assert_eq!((events.len(), delete_expired(&server).await), (4, 0));
        server.clock.advance(chrono::TimeDelta::hours(25));
        let mut admin = server.admin().await;
        assert_eq!(delete_expired(&server).await, 2, "a request id and a release");
        let other =
            admin.connections.create_connection(request).await.expect("the request id has expired").into_inner();
        assert_ne!(other, first);
        server.clock.advance(chrono::TimeDelta::days(30));
        assert_eq!(delete_expired(&server).await, 2, "a request id and the denied attempt");
        let mut admin = server.admin().await;
        let events = admin.audit.list_audit_events(list()).await.expect("listed").into_inner().audit_events;
        assert_eq!(events.len(), 4, "one for each change");
        server.clock.advance(chrono::TimeDelta::days(400));
        assert_eq!(delete_expired(&server).await, 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_runs_are_deleted_after_their_retention() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let export = admin.export(&connection, "Weekly").await.name;
        let ended = admin.run(&export).await.expect("queued").name;
        let cancel = pb::CancelExportRunRequest { name: ended.clone(), ..Default::default() };
        admin.exports.cancel_export_run(cancel).await.expect("cancelled");
        let waiting = admin.run(&export).await.expect("queued").name;
        server.clock.advance(chrono::TimeDelta::days(89));
        assert_eq!(delete_expired(&server).await, 0);
        server.clock.advance(chrono::TimeDelta::days(2));
        assert_eq!(delete_expired(&server).await, 1);
        let mut admin = server.admin().await;
        let refusal = admin.exports.get_export_run(pb::GetExportRunRequest { name: ended }).await.expect_err("deleted");
        assert_eq!(refusal.code(), Code::NotFound);
        admin.read_run(&waiting).await;
    })
    .await;
}
