//! When connections end, in virtual time.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::routing::post;
use futures_util::{StreamExt as _, stream};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connections::ConnectionLimits;
use super::listener::{Options, serve_http2};
use crate::grpc::middleware::{ConnectionCalls, count_call};

/// A connection of a client, and a task that returns how long it was open.
struct Client {
    sender: http2::SendRequest<Body>,
    open: JoinHandle<Duration>,
}

async fn connect(needs_caller: bool, max_age: Duration) -> Client {
    let limits = ConnectionLimits { total: 1, per_address: 1 };
    let options = Options { name: "test", tls: None, http1: false, limits, needs_caller, max_age };
    let router = Router::new()
        .route("/authenticated", post(async |Extension(calls): Extension<ConnectionCalls>| calls.authenticated()))
        .route("/unread/{responses}/{seconds}", post(unread))
        .route("/unread", post(unread_body))
        .route("/slow", post(async || std::future::pending::<()>().await))
        .route("/unauthenticated", post(async || ()))
        .layer(from_fn(async |request: Request, next: Next| count_call(request, |request| next.run(request)).await));
    let (client, server) = tokio::io::duplex(1 << 20);
    let (read, write) = tokio::io::split(server);
    tokio::spawn(async move { drop(serve_http2(read, write, &options, router, CancellationToken::new()).await) });
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.unwrap();
    let opened = Instant::now();
    let open = tokio::spawn(async move {
        // How it ended does not matter.
        let _ = connection.await;
        opened.elapsed()
    });
    Client { sender, open }
}

/// Responses that were not read at their deadlines, and are read after the given time.
async fn unread(Path((responses, seconds)): Path<(usize, u64)>, Extension(calls): Extension<ConnectionCalls>) {
    let unread: Vec<_> = (0..responses).map(|_| calls.count_unread(2_000)).collect();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        drop(unread);
    });
}

/// A response that was not read at its deadline, and does not end.
async fn unread_body(Extension(calls): Extension<ConnectionCalls>) -> Body {
    let unread = calls.count_unread(2_000);
    Body::from_stream(stream::pending::<Result<Bytes, Infallible>>().inspect(move |_| {
        let _ = &unread;
    }))
}

impl Client {
    async fn call(&mut self, path: &str) {
        assert_eq!(self.send(path).await.unwrap().status(), 200, "{path}");
    }

    fn send(&mut self, path: &str) -> impl Future<Output = hyper::Result<http::Response<Incoming>>> + use<> {
        let request = http::Request::post(format!("http://server{path}")).body(Body::empty()).unwrap();
        self.sender.send_request(request)
    }

    /// How long the connection was open, in seconds.
    async fn open(self) -> u64 {
        self.open.await.unwrap().as_secs()
    }
}

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_call_of_a_caller_ends_after_half_a_minute() {
    let silent = connect(true, DAY).await;
    assert!((30..=40).contains(&silent.open().await));
    let mut anonymous = connect(true, DAY).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    anonymous.call("/unauthenticated").await;
    assert!((30..=40).contains(&anonymous.open().await), "a call without a caller does not count");
    let mut probe = connect(false, DAY).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    probe.call("/unauthenticated").await;
    assert!((50..=60).contains(&probe.open().await), "unless no caller is needed");
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_a_caller_ends_after_a_quarter_of_an_hour_without_a_call() {
    let mut client = connect(true, DAY).await;
    client.call("/authenticated").await;
    tokio::time::sleep(Duration::from_mins(14)).await;
    client.call("/unauthenticated").await;
    assert!((29 * 60..=29 * 60 + 5).contains(&client.open().await));
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_its_maximum_age_which_varies() {
    let mut ages = Vec::new();
    for _ in 0..20 {
        let mut client = connect(true, Duration::from_secs(1_000)).await;
        for _ in 0..3 {
            client.call("/authenticated").await;
            tokio::time::sleep(Duration::from_mins(4)).await;
        }
        ages.push(client.open().await);
    }
    assert!(ages.iter().all(|age| (800..=1_200).contains(age)), "{ages:?}");
    ages.dedup();
    assert!(ages.len() > 10, "{ages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_client_does_not_read_ends() {
    // Many that are read at once do not end the connection, nor do few that are read soon.
    let cases = [(30, 60, 0..=1), (30, 0, 900..=1_200), (5, 60, 3..=8), (5, 2, 900..=1_200)];
    for (responses, seconds, expected) in cases {
        let mut client = connect(true, DAY).await;
        client.call("/authenticated").await;
        client.call(&format!("/unread/{responses}/{seconds}")).await;
        let open = client.open().await;
        assert!(expected.contains(&open), "{responses} responses, {seconds} s: {open} s");
    }
}

#[tokio::test(start_paused = true)]
async fn other_calls_can_finish_on_a_connection_whose_client_does_not_read() {
    for (has_other_call, expected) in [(false, 3..=4), (true, 8..=9)] {
        let mut client = connect(true, DAY).await;
        client.call("/authenticated").await;
        let unread = client.send("/unread").await.unwrap();
        let other = has_other_call.then(|| tokio::spawn(client.send("/slow")));
        let open = client.open().await;
        assert!(expected.contains(&open), "{other:?}: {open} s");
        drop(unread);
    }
}
