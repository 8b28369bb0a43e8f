//! What ends a stream before its own end, and what a slow one holds.

use std::time::Duration;

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::{Code, Request};

use super::Reader;
use crate::support::{Backend, Clients as _, ErrorExt as _, TestServer, on_both};

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_callers_identity() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        admin.export(&connection, "Stays").await;
        let token = server.token_with_ttl("brief", &[Role::Admin], chrono::TimeDelta::seconds(1));
        let mut brief = server.bearer(Some(&token)).await;
        let mut reader = Reader::open(&mut brief, &connection, "", true).await.expect("opened");
        reader.listing().await;
        let refusal = reader.next().await.expect_err("the token expires");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_at_the_callers_deadline() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    admin.export(&connection, "Stays").await;
    let mut request =
        Request::new(pb::StreamBlockingExportsRequest { name: connection, follow: true, ..Default::default() });
    // tonic's own clock ends with the headers: past them, it is the server that knows the time.
    request.set_timeout(Duration::from_millis(800));
    let stream = admin.connections.stream_blocking_exports(request).await.expect("opened").into_inner();
    let mut reader = Reader { stream, cursor: String::new() };
    reader.listing().await;
    let refusal = reader.next().await.expect_err("time is over");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_at_once_when_the_server_stops_and_goes_on_elsewhere() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let connection = admin.connection("Partner").await.name;
        admin.export(&connection, "Stays").await;
        let mut reader = Reader::open(&mut admin, &connection, "", true).await.expect("opened");
        reader.listing().await;
        let stopping = tokio::spawn(server.stop());
        let refusal = reader.next().await.expect_err("the server stops");
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
        assert!(!reader.cursor.is_empty(), "the last message's cursor is good elsewhere");
        drop(admin);
        stopping.await.expect("it has stopped");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_has_twenty_streams_at_a_time() {
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
    Reader::open(&mut other, &connection, "", true).await.expect("another principal has its own");
    drop(open.pop());
    // The place is given back as soon as the server sees the stream gone.
    while Reader::open(&mut admin, &connection, "", false).await.is_err() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_holds_no_database_connection() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        // One connection to read with, one to write with.
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
            // A page that was being read may take its time; what is held would stay.
            while database.fetch_count(busy).await > 0 {}
        }
        // And nothing is lost by waiting.
        for (_, reader) in &mut stalled {
            let (rest, summary) = reader.listing().await;
            assert_eq!((rest.len(), summary.blocking_export_count), (20_000, 20_001));
        }
    }
}
