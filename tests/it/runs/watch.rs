//! WatchExportRun: what ends a stream early, and the limit of open streams, which all kinds of streams share.

use std::time::Duration;

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic::{Code, Request, Status, Streaming};

use crate::support::{Backend, Client, Clients as _, ErrorExt as _, TestServer, on_both};

/// Open streams of a principal on a server.
const MAX_STREAMS: usize = 20;

async fn watch(client: &mut Client, run: &str) -> Result<Streaming<pb::WatchExportRunResponse>, Status> {
    let request = pb::WatchExportRunRequest { name: run.to_owned() };
    Ok(client.exports.watch_export_run(request).await?.into_inner())
}

/// Reads the first message, and returns the error that ends the stream then.
async fn end_of(mut stream: Streaming<pb::WatchExportRunResponse>) -> Status {
    stream.message().await.expect("the run").expect("not the end");
    stream.message().await.expect_err("the stream ends early")
}

/// Queues a run, which nothing executes.
async fn queued(admin: &mut Client) -> (pb::Connection, String) {
    let connection = admin.connection("Partner").await;
    let export = admin.export(&connection.name, "Weekly").await;
    (connection, admin.run(&export.name).await.expect("queued").name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_token_at_the_deadline_and_with_the_server() {
    on_both(async |server: TestServer| {
        let mut admin = server.admin().await;
        let (_, run) = queued(&mut admin).await;
        let token = server.token_with_ttl("short-lived", &[Role::Viewer], chrono::TimeDelta::seconds(1));
        let mut client = server.bearer(Some(&token)).await;
        let ended = end_of(watch(&mut client, &run).await.expect("opened")).await;
        assert_eq!((ended.code(), ended.reason().as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));

        let mut request = Request::new(pb::WatchExportRunRequest { name: run.clone() });
        // tonic's client enforces the timeout until the headers arrive; after them, only the server does.
        request.set_timeout(Duration::from_millis(800));
        let stream = admin.exports.watch_export_run(request).await.expect("opened").into_inner();
        let ended = end_of(stream).await;
        assert_eq!((ended.code(), ended.reason().as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));

        let mut stream = watch(&mut admin, &run).await.expect("opened");
        stream.message().await.expect("the run").expect("not the end");
        let stopping = tokio::spawn(server.stop());
        let ended = stream.message().await.expect_err("the server stops");
        assert_eq!((ended.code(), ended.reason().as_str()), (Code::Unavailable, "DRAINING"));
        drop((admin, client));
        stopping.await.expect("the server has stopped");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_has_one_limit_for_streams_of_all_kinds() {
    let server = TestServer::start(Backend::Sqlite).await;
    let mut admin = server.admin().await;
    let (connection, run) = queued(&mut admin).await;
    let follow =
        || pb::StreamBlockingExportsRequest { name: connection.name.clone(), follow: true, ..Default::default() };
    let (mut watches, mut listings) = (Vec::new(), Vec::new());
    for _ in 0..MAX_STREAMS / 2 {
        let mut stream = watch(&mut admin, &run).await.expect("opened");
        stream.message().await.expect("the run").expect("not the end");
        watches.push(stream);
        let mut stream = admin.connections.stream_blocking_exports(follow()).await.expect("opened").into_inner();
        stream.message().await.expect("an export").expect("not the end");
        listings.push(stream);
    }
    assert_eq!(server.app.open_streams(), MAX_STREAMS as u64);
    let refusals = [
        watch(&mut admin, &run).await.expect_err("one too many"),
        admin.connections.stream_blocking_exports(follow()).await.expect_err("one too many"),
    ];
    for refusal in refusals {
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    }
    // Another principal of the organization, and the same principal of another organization.
    watch(&mut server.viewer().await, &run).await.expect("another principal has a limit of its own");
    let mut other = server.caller("zeta", "root", &[Role::Admin], &[]).await;
    let absent = watch(&mut other, "organizations/zeta/exports/-/runs/01931f6e-7c4b-7000-8000-000000000001").await;
    assert_eq!(absent.expect_err("no such run").code(), Code::NotFound);

    // The permits are released when a client drops a stream, when a run ends, and when there is nothing to watch.
    drop(watches.pop());
    while watch(&mut admin, &run).await.is_err() {}
    drop(listings);
    let cancel = pb::CancelExportRunRequest { name: run.clone(), ..Default::default() };
    admin.exports.cancel_export_run(cancel).await.expect("cancelled");
    for mut stream in watches {
        while stream.message().await.expect("no error").is_some() {}
    }
    while server.app.open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..=MAX_STREAMS {
        watch(&mut admin, "organizations/acme/exports/-/runs/01931f6e-7c4b-7000-8000-000000000001")
            .await
            .expect_err("no such run");
    }
    assert_eq!(server.app.open_streams(), 0);
}
