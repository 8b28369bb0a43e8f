//! What every call gets: an id, a deadline, a status that says why.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outflow::grpc::proto as pb;
use outflow::grpc::proto::connection_service_client::ConnectionServiceClient;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::Service;

use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, on_both};

async fn channel(server: &TestServer) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    endpoint.connect().await.expect("the server listens")
}

/// Sends a message of one type to any method.
async fn send(server: &TestServer, path: &'static str, token: &str) -> Status {
    let mut client = tonic::client::Grpc::new(channel(server).await);
    client.ready().await.expect("connected");
    let mut request = Request::new(pb::ListConnectionTypesRequest { page_size: 5, page_token: String::new() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    let codec = tonic_prost::ProstCodec::<_, pb::GetConnectionResponse>::default();
    client.unary(request, PathAndQuery::from_static(path), codec).await.expect_err("no such call")
}

/// A connection without a clock: tonic's own ends a call by the `grpc-timeout` that it sends.
async fn clockless(
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
async fn every_answer_bears_the_id_of_its_call() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut viewer = server.viewer().await;
    for (given, kept) in [("order-66.a_b", true), ("white space", false), (&"x".repeat(65), false)] {
        let mut request = Request::new(pb::ListConnectionTypesRequest::default());
        request.metadata_mut().insert("x-request-id", given.parse().expect("ASCII"));
        let answer = viewer.connections.list_connection_types(request).await.expect("answered");
        let id = answer.metadata().get("x-request-id").expect("an id").to_str().expect("ASCII").to_owned();
        assert_eq!(id == given, kept, "{given} became {id}");
    }
    let mut nobody = server.anonymous().await;
    let refusal = nobody.connections.list_connection_types(pb::ListConnectionTypesRequest::default()).await;
    let refusal = refusal.expect_err("nobody");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    assert!(refusal.metadata().contains_key("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_methods_that_are_none_are_the_callers_mistake() {
    let server = TestServer::start(Backend::Sqlite).await;
    let token = server.token("acme", "root", &[outflow::model::Role::Admin], &[]);
    let refusal = send(&server, "/outflow.v1.ConnectionService/GetConnection", &token).await;
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::InvalidArgument, "UNDECODABLE"));
    let refusal = send(&server, "/outflow.v1.ConnectionService/Nonsense", &token).await;
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unimplemented, "UNIMPLEMENTED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_at_its_deadline_and_leaves_nothing() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Held").await;
    let pool = sqlx::PgPool::connect(&server.database_url).await.expect("the database");
    let mut holder = pool.begin().await.expect("a transaction");
    sqlx::query("SELECT 1 FROM connections FOR UPDATE").execute(&mut *holder).await.expect("the row is held");

    let mut request = Request::new(pb::SuspendConnectionRequest {
        name: connection.name.clone(),
        reason: "too late".into(),
        ..Default::default()
    });
    let token = server.token("acme", "root", &[outflow::model::Role::Admin], &[]);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    request.metadata_mut().insert("grpc-timeout", "200m".parse().expect("ASCII"));
    let origin = format!("http://{}", server.address).parse().expect("an origin");
    let mut patient = ConnectionServiceClient::with_origin(clockless(&server).await, origin);
    let refusal = patient.suspend_connection(request).await.expect_err("the row is held");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    holder.rollback().await.expect("the row is free");
    // Whoever comes next waits for the abandoned transaction to give the row up, and finds it unchanged.
    let resume = pb::ResumeConnectionRequest { name: connection.name.clone(), ..Default::default() };
    let resumed = admin.connections.resume_connection(resume).await.expect("answered").into_inner();
    assert_eq!(resumed.connection.expect("answered"), connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_given_up_is_a_conflict() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Held").await;
    let pool = sqlx::PgPool::connect(&server.database_url).await.expect("the database");
    let mut holder = pool.begin().await.expect("a transaction");
    sqlx::query("SELECT 1 FROM connections FOR UPDATE").execute(&mut *holder).await.expect("the row is held");
    let request = pb::ResumeConnectionRequest { name: connection.name, ..Default::default() };
    let refusal = admin.connections.resume_connection(request).await.expect_err("the row is held");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Aborted, "CONFLICT"));
    holder.rollback().await.expect("the row is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_identity() {
    on_both(async |server| {
        let file = server.data_dir.join("outflow.db");
        assert_eq!(file.exists(), server.backend == Backend::Sqlite);
        let mut health = HealthClient::new(channel(&server).await);
        for service in ["", "outflow.v1.ConnectionService", "outflow.v1.ExportService", "outflow.v1.AuditService"] {
            let request = HealthCheckRequest { service: service.into() };
            let answer = health.check(request).await.expect("answered").into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_goes_and_the_rest_stays() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let mut request = crate::support::create_connection("Once");
        request.request_id = "01931f6e-7c4b-7000-8000-000000000001".into();
        let first = admin.connections.create_connection(request.clone()).await.expect("created").into_inner();
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let retention = outflow::store::Retention {
            request_ids: hours(24),
            releases: hours(24),
            denied: hours(24 * 30),
            audit: hours(24 * 400),
        };
        assert_eq!(server.app.tidy(retention).await, 0);
        let again = admin.connections.create_connection(request.clone()).await.expect("replayed").into_inner();
        assert_eq!(again, first);
        server.clock.advance(chrono::TimeDelta::hours(25));
        let mut admin = server.admin().await;
        assert_eq!(server.app.tidy(retention).await, 1);
        let other = admin.connections.create_connection(request).await.expect("the id is free again").into_inner();
        assert_ne!(other, first);
        server.clock.advance(chrono::TimeDelta::days(400));
        assert_eq!(server.app.tidy(retention).await, 3, "an id and two events");
    })
    .await;
}
