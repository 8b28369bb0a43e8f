//! Streams that end early, the limit of open streams, and unread streams.

use std::time::Duration;

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::{Code, Request};

use super::Reader;
use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_token_expires() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        admin.export(&connection, "Stays").await;
        let token = server.token_with_ttl("short-lived", &[Role::Admin], chrono::TimeDelta::seconds(3));
        let mut client = server.bearer(Some(&token)).await;
        let mut reader = Reader::open(&mut client, &connection, "", true).await.expect("opened");
        reader.listing().await;
        let refusal = reader.next().await.expect_err("the token expires");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_at_the_deadline_of_the_call() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    admin.export(&connection, "Stays").await;
    let mut request =
        Request::new(pb::StreamBlockingExportsRequest { name: connection, follow: true, ..Default::default() });
    // tonic's client enforces the timeout until the headers arrive; after them, only the server does.
    request.set_timeout(Duration::from_secs(2));
    let stream = admin.connections.stream_blocking_exports(request).await.expect("opened").into_inner();
    let mut reader = Reader { stream, cursor: String::new() };
    reader.listing().await;
    let refusal = reader.next().await.expect_err("the deadline has passed");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_draining_when_the_server_stops() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        admin.export(&connection, "Stays").await;
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        reader.listing().await;
        let stopping = tokio::spawn(server.stop());
        let refusal = reader.next().await.expect_err("the server stops");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
        assert!(!reader.cursor.is_empty(), "another replica can resume from the last cursor");
        drop(admin);
        stopping.await.expect("the server has stopped");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_has_at_most_twenty_open_streams() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    admin.export(&connection, "Stays").await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        reader.listing().await;
        open.push(reader);
    }
    let refusal = Reader::open(&mut admin, &connection, "", true).await.err().expect("one too many");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    let mut other = server.caller("acme", "second", &[Role::Admin], &[]).await;
    Reader::open(&mut other, &connection, "", true).await.expect("another principal has a limit of its own");
    drop(open.pop());
    // The permit is released once the server notices that the client dropped the stream.
    while Reader::open(&mut admin, &connection, "", false).await.is_err() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_stream_holds_no_database_connection() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        // One connection for reads, one for writes.
        let server = TestServer::start_with(backend, vec![("database_max_connections", "2".to_owned())]).await;
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        let first = admin.export(&connection, "First").await;
        let database = server.database().await;
        database.attach_copies(&first, 20_000).await;
        let mut stalled = Vec::new();
        for _ in 0..8 {
            let mut slow = server.admin().await;
            let mut reader = Reader::open(&mut slow, &connection, "", false).await.expect("opened");
            reader.blocking().await;
            stalled.push((slow, reader));
        }
        for _ in 0..50 {
            admin.read_connection(&connection).await;
        }
        if backend == Backend::Postgres {
            let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'outflow' AND (state <> 'idle' OR xact_start IS NOT NULL)";
            // A page may still be read for a moment. A connection that a stream held would stay busy.
            while database.fetch_count(busy).await > 0 {}
        }
        // The unread streams lose no message.
        for (_, reader) in &mut stalled {
            let (rest, summary) = reader.listing().await;
            assert_eq!((rest.len(), summary.blocking_export_count), (20_000, 20_001));
        }
    }
}
