//! Faults: cancelled calls, a database that is down or does not respond, kills, and shutdown with open streams.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outflow::grpc::proto as pb;
use outflow::model::Role;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::support::{
    Backend, CallOptions, Client, Clients as _, Database, ErrorExt as _, Gate, Names, Process, Proxy, SAMPLES,
    TestServer, create_connection, lock_connections, new_database, on_both, outflow, print_line, server_log_lines,
    start_cluster, with_timeout,
};

/// The number of calls that are cancelled, on each database.
const CANCELLED_CALLS: u64 = 2_000;
/// The number of cancelled calls on the same resources.
const CALLS_PER_ROUND: u64 = 10;
/// The longest time until a call is cancelled; calls take about as long.
const MAX_TIME_TO_CANCEL: Duration = Duration::from_millis(12);

/// Counts the database connections of the server that are inside a transaction.
const IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'outflow' AND xact_start IS NOT NULL";

/// Waits until no transaction is open. A transaction on a connection that was returned to the pool would stay open.
async fn wait_until_no_transaction(server: &TestServer) {
    let database = server.database().await;
    if server.backend == Backend::Sqlite {
        // Waits for the write lock, as another process would.
        database.execute("BEGIN IMMEDIATE; ROLLBACK").await;
        return;
    }
    let start = Instant::now();
    while database.fetch_count(IN_TRANSACTION).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "a transaction was left open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_leave_no_transaction_open() {
    on_both(async |server: TestServer| {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(server.admin().await);
        }
        let gate = Gate::new(
            format!("CANCEL, {CALLS_PER_ROUND} calls each, {:?}", server.backend),
            CANCELLED_CALLS / CALLS_PER_ROUND,
        );
        let completed = AtomicU64::new(0);
        gate.run(async |round| {
            let mut random = StdRng::seed_from_u64(round);
            let mut client = clients[random.random_range(0..clients.len())].clone();
            let names = Names::make(&mut client, "acme", round).await;
            let mut cancelled = 0;
            while cancelled < CALLS_PER_ROUND {
                let sample = &SAMPLES[random.random_range(0..SAMPLES.len())];
                let (secret, request_id) = ("of a cancelled call".to_owned(), Uuid::new_v4().to_string());
                let options = CallOptions { secret, request_id, ..CallOptions::default() };
                let time_to_cancel = MAX_TIME_TO_CANCEL.mul_f64(random.random());
                match tokio::time::timeout(time_to_cancel, sample.call(&client, &names, &options)).await {
                    Err(_) => cancelled += 1,
                    Ok(Err(status)) if [Code::Internal, Code::Unknown].contains(&status.code()) => {
                        panic!("{}: {status:?}", sample.method)
                    }
                    Ok(_) => drop(completed.fetch_add(1, Ordering::Relaxed)),
                }
            }
        })
        .await;
        gate.report(&format!(", {} more completed before they were cancelled", completed.into_inner()));
        wait_until_no_transaction(&server).await;
        // PostgreSQL warns about this if a connection is returned to the pool inside a transaction.
        assert_eq!(server_log_lines("already a transaction in progress"), 0);
        // Later calls find all connections of the pool usable.
        for number in CANCELLED_CALLS..CANCELLED_CALLS + 64 {
            Names::make(&mut clients[0], "acme", number).await;
        }
        server.check_rows().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_are_begun_ahead_are_used_or_rolled_back() {
    const BURSTS: usize = 20;
    const CALLS: usize = 8;
    // Its log has the statements of this server alone.
    let cluster = spawn_blocking(|| start_cluster("begun-ahead", &[], "-c log_statement=all")).await.expect("started");
    let url = cluster.new_database();
    let database = Database::open(&url).await;
    let settings = vec![("database_url", url), ("database_max_connections", "8".to_owned())];
    let server = TestServer::start_with(Backend::Postgres, settings).await;
    // Callers of two organizations, who wait for connections and are at their limits at different times.
    let mut clients = Vec::new();
    for caller in 0..CALLS {
        let organization = if caller % 4 == 0 { "other" } else { "acme" };
        let client = server.caller(organization, &format!("caller-{}", caller % 3), &[Role::Admin], &[]).await;
        clients.push((client, format!("organizations/{organization}")));
    }
    let unused = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND query = 'COMMIT AND CHAIN' AND xact_start IS NOT NULL";
    for burst in 0..BURSTS {
        let calls = clients.iter().enumerate().map(|(caller, (client, parent))| {
            let create = create_connection(&format!("{burst}-{caller}"));
            let create = pb::CreateConnectionRequest { parent: parent.clone(), ..create };
            let mut client = client.clone();
            async move { client.connections.create_connection(create).await }
        });
        for created in join_all(calls).await {
            created.expect("created");
        }
        assert_eq!(database.fetch_count(unused).await, 0, "every transaction that began has ended");
    }
    let connections = database.fetch_count("SELECT count(*) FROM connections").await;
    assert_eq!(usize::try_from(connections).expect("a count"), BURSTS * CALLS);
    assert_eq!(cluster.log_lines("already a transaction in progress"), 0);
    assert_ne!(cluster.log_lines("statement: COMMIT AND CHAIN"), 0, "calls wait for the connections of others");
}

/// Waits until the health service reports that the server is ready, or that it is not.
async fn wait_for_readiness(server: &TestServer, ready: bool) {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("the server listens"));
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("a stream").into_inner();
    let wanted = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    with_timeout("readiness", async {
        while watched.message().await.expect("a message").expect("a status").status() != wanted {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_unavailable_while_the_database_is_down_and_succeed_afterwards() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await;
    let (base, name) = server.database_url.rsplit_once('/').expect("a database");
    let postgres = Database::open(&format!("{base}/postgres")).await;
    wait_for_readiness(&server, true).await;

    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname";
    postgres.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    postgres.execute(&format!("{terminate} = '{name}'")).await;
    for _ in 0..30 {
        let read = pb::GetConnectionRequest { name: connection.name.clone() };
        let change = pb::ResumeConnectionRequest { name: connection.name.clone(), ..Default::default() };
        let read = admin.connections.get_connection(read).await.expect_err("the database is down");
        let change = admin.connections.resume_connection(change).await.expect_err("the database is down");
        for refusal in [read, change] {
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
            assert!(refusal.get_error_details().retry_info().is_some());
        }
    }
    let types = pb::ListConnectionTypesRequest::default();
    admin.connections.list_connection_types(types).await.expect("the catalog needs no database");
    admin.identity.get_caller(pb::GetCallerRequest {}).await.expect("the caller needs no database");
    wait_for_readiness(&server, false).await;

    postgres.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    assert_eq!(admin.read_connection(&connection.name).await, connection);
    wait_for_readiness(&server, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_while_the_database_does_not_respond_and_succeed_afterwards() {
    let url = spawn_blocking(new_database).await.expect("a database");
    let (user, rest) = url.split_once('@').expect("a user");
    let (database, name) = rest.split_once('/').expect("a name");
    let proxy = Proxy::start(database.to_owned()).await;
    let proxied = format!("{user}@{}/{name}", proxy.address);
    let server = TestServer::start_with(Backend::Postgres, vec![("database_url", proxied)]).await;
    let admin = server.admin().await;
    let connection = admin.clone().connection("Partner").await.name;
    let suspend = async |mut admin: Client| {
        let request = pb::SuspendConnectionRequest { name: connection.clone(), ..Default::default() };
        admin.connections.suspend_connection(request).await.map(drop)
    };
    let get = async |mut admin: Client| {
        admin.connections.get_connection(pb::GetConnectionRequest { name: connection.clone() }).await.map(drop)
    };
    // More calls than there are database connections.
    join_all((0..30).map(|_| get(admin.clone()))).await;
    proxy.stop_forwarding();
    let calls = (0..30).map(
        async |number| {
            if number % 2 == 0 { get(admin.clone()).await } else { suspend(admin.clone()).await }
        },
    );
    for response in with_timeout("the responses of calls while the database does not respond", join_all(calls)).await {
        let refusal = response.expect_err("the database does not respond");
        // Those that wait for a connection are refused for what their organization holds.
        let reasons = ["DATABASE_UNAVAILABLE", "OVERLOADED", "RATE_LIMITED"];
        assert!(reasons.contains(&refusal.reason().as_str()), "{refusal:?}");
    }
    wait_for_readiness(&server, false).await;
    proxy.resume_forwarding();
    with_timeout("calls that succeed", async {
        while get(admin.clone()).await.is_err() || suspend(admin.clone()).await.is_err() {}
    })
    .await;
    wait_for_readiness(&server, true).await;
    for response in join_all((0..30).map(|_| get(admin.clone()))).await {
        response.expect("the pool has recovered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
    let url = spawn_blocking(new_database).await.expect("a database");
    let mut server = Process::start(outflow(directory.path()).args(["--database-url", &url]));
    let mut admin = server.admin().await;
    let name = admin.connection("Locked").await.name;
    let lock = lock_connections(&url).await;
    let blocked = tokio::spawn(async move {
        admin.connections.resume_connection(pb::ResumeConnectionRequest { name, ..Default::default() }).await
    });
    let waiting_for_lock = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outflow' \
         AND datname = current_database() AND wait_event_type = 'Lock'";
    let database = Database::open(&url).await;
    with_timeout("a call that waits for the lock", async {
        while database.fetch_count(waiting_for_lock).await == 0 {}
    })
    .await;
    server.signal("TERM");
    with_timeout("the start of the shutdown", async {
        while !server.output.lock().expect("its output").contains("stopping") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.child.try_wait().expect("a status").is_none(), "it waits for the call");
    server.signal("INT");
    let status = spawn_blocking(move || server.child.wait()).await.expect("the task ends").expect("a status");
    assert_eq!(status.code(), Some(130));
    blocked.await.expect("the task ends").expect_err("the server has exited");
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_streams_and_does_not_wait_for_idle_clients() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Process::start(&mut outflow(directory.path()));
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    admin.export(&connection, "Stays").await;
    // A stream of blocking exports and one of health, an idle client, a TCP connection without an HTTP/2 preface, and a
    // TCP connection with a part of it.
    let request = pb::StreamBlockingExportsRequest { name: connection, follow: true, ..Default::default() };
    let mut stream = admin.connections.stream_blocking_exports(request).await.expect("opened").into_inner();
    let _idle = server.viewer().await;
    let _silent = tokio::net::TcpStream::connect(server.address()).await.expect("connected");
    let mut partial = tokio::net::TcpStream::connect(server.address()).await.expect("connected");
    partial.write_all(b"PRI * HTTP").await.expect("sent");
    let channel = Endpoint::from_shared(format!("http://{}", server.address())).expect("an address").connect().await;
    let mut health = HealthClient::new(channel.expect("connected"));
    let watch = HealthCheckRequest { service: String::new() };
    let mut watched = health.watch(watch).await.expect("opened").into_inner();
    let reported = |status: ServingStatus| HealthCheckResponse { status: status.into() };
    assert_eq!(watched.message().await.expect("a message"), Some(reported(ServingStatus::Serving)));
    let start = Instant::now();
    server.signal("TERM");
    let refusal = loop {
        match stream.message().await {
            Ok(message) => assert!(message.is_some(), "the stream must not end with OK"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
    assert_eq!(watched.message().await.expect("a status before the end"), Some(reported(ServingStatus::NotServing)));
    let refusal = watched.message().await.expect_err("the end");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
    let status = spawn_blocking(move || server.child.wait()).await.expect("the task ends");
    assert!(status.expect("a status").success());
    assert!(start.elapsed() < Duration::from_secs(10), "shutdown does not wait for connections without calls");
}

/// Principals with open streams at a shutdown, and streams of each.
const STREAMS: (usize, usize) = (5, 20);

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_with_many_streams_and_a_stuck_call_ends_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
    let url = spawn_blocking(new_database).await.expect("a database");
    let mut server = Process::start(outflow(directory.path()).args(["--database-url", &url]));
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    admin.export(&connection, "Stays").await;
    let mut streams = Vec::new();
    for principal in 0..STREAMS.0 {
        let mut client = server.caller("acme", &format!("watcher-{principal}"), &[Role::Admin], &[]).await;
        for _ in 0..STREAMS.1 {
            let request =
                pb::StreamBlockingExportsRequest { name: connection.clone(), follow: true, ..Default::default() };
            let response = client.connections.stream_blocking_exports(request).await.expect("opened");
            streams.push((client.clone(), response.into_inner()));
        }
    }
    let _idle = server.viewer().await;
    let lock = lock_connections(&url).await;
    let stuck = tokio::spawn(async move {
        admin
            .connections
            .resume_connection(pb::ResumeConnectionRequest { name: connection, ..Default::default() })
            .await
    });
    let start = Instant::now();
    server.signal("TERM");
    for (_, stream) in &mut streams {
        let mut cursor = String::new();
        let refusal = loop {
            match stream.message().await {
                Ok(message) => cursor = message.expect("the stream must not end with OK").cursor,
                Err(refusal) => break refusal,
            }
        };
        assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
        assert!(!cursor.is_empty());
    }
    let ended = start.elapsed();
    let status = spawn_blocking(move || server.child.wait()).await.expect("the task ends");
    let exited = start.elapsed();
    assert!(status.expect("a status").success());
    assert!(exited < Duration::from_secs(30), "{exited:?}");
    stuck.await.expect("the task ends").expect_err("the row is locked");
    drop(lock);
    print_line(&format!(
        "gate DRAIN, {} streams of {} principals, an idle client and a stuck call: streams ended after {ended:.1?}, the \
         process after {exited:.1?}",
        streams.len(),
        STREAMS.0
    ));
}
