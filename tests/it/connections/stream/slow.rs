//! STREAMS: slow streams hold no database connections that unary calls need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Reader;
use crate::support::{Backend, Client, Clients as _, TestServer, print_line};

/// Principals, and streams of each.
const STREAMS: (usize, usize) = (10, 20);
/// Database connections for calls.
const CONNECTIONS: u32 = 5;
/// Exports that each stream lists.
const EXPORTS: u64 = 2_000;
/// Unary calls before the streams and during them.
const CALLS: usize = 500;
/// How often a stream is read.
const PAUSE: Duration = Duration::from_millis(20);

/// Makes unary calls, all of which must succeed, and returns the time that 99 % of them take at most.
async fn p99(client: &mut Client, connection: &str) -> Duration {
    let mut times = Vec::new();
    for number in 0..CALLS {
        let start = Instant::now();
        if number % 5 == 0 {
            let resume = pb::ResumeConnectionRequest { name: connection.to_owned(), ..Default::default() };
            client.connections.resume_connection(resume).await.expect("a change");
        } else {
            client.read_connection(connection).await;
        }
        times.push(start.elapsed());
    }
    times.sort();
    times[CALLS * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_streams_delay_no_unary_call() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let settings = vec![("database_max_connections", CONNECTIONS.to_string())];
        let server = TestServer::start_with(backend, settings).await;
        let mut admin = server.admin().await;
        let (connection, other) = (admin.connection("Partner").await.name, admin.connection("Other").await.name);
        let first = admin.export(&connection, "First").await;
        server.database().await.attach_copies(&first, EXPORTS - 1).await;
        let before = p99(&mut admin, &other).await;
        let (stop, mut reading) = (Arc::<AtomicBool>::default(), JoinSet::new());
        for principal in 0..STREAMS.0 {
            let client = server.caller("acme", &format!("watcher-{principal}"), &[Role::Admin], &[]).await;
            for _ in 0..STREAMS.1 {
                let (mut client, connection, stop) = (client.clone(), connection.clone(), Arc::clone(&stop));
                reading.spawn(async move {
                    let mut reader = Reader::open(&mut client, &connection, "", true).await.expect("opened");
                    let mut interval = tokio::time::interval(PAUSE);
                    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    let mut messages = 0;
                    while !stop.load(Ordering::Relaxed) {
                        interval.tick().await;
                        reader.event().await;
                        messages += 1;
                    }
                    messages
                });
            }
        }
        let during = p99(&mut admin, &other).await;
        stop.store(true, Ordering::Relaxed);
        let messages: usize = reading.join_all().await.into_iter().sum();
        let (principals, streams) = STREAMS;
        assert!(messages >= principals * streams);
        print_line(&format!(
            "gate STREAMS, {backend:?}: {} slow streams of {principals} principals read {messages} messages, {CALLS} unary \
             calls with {CONNECTIONS} database connections, 0 failed, p99 {during:.1?}, without streams {before:.1?}",
            principals * streams
        ));
    }
}
