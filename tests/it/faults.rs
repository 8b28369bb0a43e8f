//! What goes wrong around us: callers that leave, a database that goes away and comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outflow::grpc::proto as pb;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::AsyncWriteExt as _;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::support::{
    Backend, Client, Clients as _, Database, ErrorExt as _, EveryCall, Gate, Names, Process, Proxy, TestServer, With,
    create_export, every_call, lock_connections, new_database, on_both, outflow, server_log_lines, with_timeout,
};

/// Calls that are cancelled, on each database.
const CANCELLED: u64 = 2_000;
/// Calls that are cancelled around the same resources.
const TOGETHER: u64 = 10;
/// Calls are cut off at a random time up to this: about as long as they take.
const LONGEST: Duration = Duration::from_millis(12);

/// Connections of the server that are inside a transaction.
const IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND application_name = 'outflow' AND xact_start IS NOT NULL";

/// Waits until no transaction is open. One that somebody left in the pool would stay.
async fn quiet(server: &TestServer) {
    let database = server.database().await;
    if server.backend == Backend::Sqlite {
        // Waits for the writer, as long as another process would.
        database.execute("BEGIN IMMEDIATE; ROLLBACK").await;
        return;
    }
    let since = Instant::now();
    while database.fetch_count(IN_TRANSACTION).await > 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "a transaction was left open");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_poison_no_connection() {
    on_both(async |server: TestServer| {
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(server.admin().await);
        }
        let calls: Vec<&EveryCall> = every_call().collect();
        let gate = Gate::new(format!("CANCEL, {TOGETHER} calls each, {:?}", server.backend), CANCELLED / TOGETHER);
        let answered = AtomicU64::new(0);
        gate.run(async |round| {
            let mut random = StdRng::seed_from_u64(round);
            let mut client = clients[random.random_range(0..clients.len())].clone();
            let names = Names::make(&mut client, "acme", round).await;
            let mut cut = 0;
            while cut < TOGETHER {
                let EveryCall { method, call, .. } = calls[random.random_range(0..calls.len())];
                let with =
                    With { secret: "left behind".into(), request_id: Uuid::new_v4().to_string(), ..With::default() };
                let patience = LONGEST.mul_f64(random.random());
                match tokio::time::timeout(patience, call(client.clone(), names.clone(), with)).await {
                    Err(_) => cut += 1,
                    Ok(Err(status)) if [Code::Internal, Code::Unknown].contains(&status.code()) => {
                        panic!("{method}: {status:?}")
                    }
                    Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                }
            }
        })
        .await;
        gate.report(&format!(", {} more were answered before they were cut off", answered.into_inner()));
        quiet(&server).await;
        // PostgreSQL's word for a connection that came back inside a transaction.
        assert_eq!(server_log_lines("already a transaction in progress"), 0);
        // Whoever calls now gets a connection that is as good as new.
        for number in CANCELLED..CANCELLED + 64 {
            Names::make(&mut clients[0], "acme", number).await;
        }
        server.check_rows().await;
    })
    .await;
}

/// Whether the server says that it is ready, until it says the other.
async fn until_ready(server: &TestServer, ready: bool) {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("the server listens"));
    let mut watched = health.watch(HealthCheckRequest::default()).await.expect("watched").into_inner();
    let wanted = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    with_timeout("readiness", async {
        while watched.message().await.expect("a message").expect("not the end").status() != wanted {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_is_unavailable_and_one_that_comes_back_is_used() {
    let server = TestServer::start(Backend::Postgres).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await;
    let (base, name) = server.database_url.rsplit_once('/').expect("a database");
    let postgres = Database::open(&format!("{base}/postgres")).await;
    until_ready(&server, true).await;

    let gone = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname";
    postgres.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    postgres.execute(&format!("{gone} = '{name}'")).await;
    for _ in 0..30 {
        let read = pb::GetConnectionRequest { name: connection.name.clone() };
        let change = pb::ResumeConnectionRequest { name: connection.name.clone(), ..Default::default() };
        let read = admin.connections.get_connection(read).await.expect_err("it is gone");
        let change = admin.connections.resume_connection(change).await.expect_err("it is gone");
        for refusal in [read, change] {
            assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
            assert!(refusal.get_error_details().retry_info().is_some());
        }
    }
    let types = pb::ListConnectionTypesRequest::default();
    admin.connections.list_connection_types(types).await.expect("what needs no database is served on");
    until_ready(&server, false).await;

    postgres.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    assert_eq!(admin.read_connection(&connection.name).await, connection);
    until_ready(&server, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_holds_nobody_and_is_used_again() {
    let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
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
    // As many as there are connections, and more.
    join_all((0..30).map(|_| get(admin.clone()))).await;
    proxy.stop_forwarding();
    let calls = (0..30).map(
        async |number| {
            if number % 2 == 0 { get(admin.clone()).await } else { suspend(admin.clone()).await }
        },
    );
    for answer in with_timeout("answers of a server whose database is silent", join_all(calls)).await {
        let refusal = answer.expect_err("nothing comes through");
        assert!(["DATABASE_UNAVAILABLE", "OVERLOADED"].contains(&refusal.reason().as_str()), "{refusal:?}");
    }
    until_ready(&server, false).await;
    proxy.resume_forwarding();
    with_timeout("calls that come through", async {
        while get(admin.clone()).await.is_err() || suspend(admin.clone()).await.is_err() {}
    })
    .await;
    until_ready(&server, true).await;
    for answer in join_all((0..30).map(|_| get(admin.clone()))).await {
        answer.expect("it is as good as ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    outflow::vault::generate_first(&folder.path().join("keys")).expect("a key");
    let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
    let mut server = Process::start(outflow(folder.path()).args(["--database-url", &url]));
    let mut admin = server.admin().await;
    let name = admin.connection("Held").await.name;
    let holder = lock_connections(&url).await;
    let stuck = tokio::spawn(async move {
        admin.connections.resume_connection(pb::ResumeConnectionRequest { name, ..Default::default() }).await
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outflow' \
         AND datname = current_database() AND wait_event_type = 'Lock'";
    let database = Database::open(&url).await;
    with_timeout("a call that waits for the row", async { while database.fetch_count(waiting).await == 0 {} }).await;
    server.signal("TERM");
    with_timeout("the beginning of the end", async {
        while !server.output.lock().expect("its output").contains("stopping") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.child.try_wait().expect("asked").is_none(), "it waits for the call");
    server.signal("INT");
    let ended = tokio::task::spawn_blocking(move || server.child.wait()).await.expect("waited").expect("it ended");
    assert_eq!(ended.code(), Some(130));
    stuck.await.expect("it ended").expect_err("nobody answers");
    drop(holder);
}

/// Kills on each database.
const KILLS: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let folder = tempfile::tempdir().expect("a folder");
        outflow::vault::generate_first(&folder.path().join("keys")).expect("a key");
        let mut command = outflow(folder.path());
        let mut url = format!("sqlite://{}", folder.path().join("outflow.db").display());
        if backend == Backend::Postgres {
            url = tokio::task::spawn_blocking(new_database).await.expect("a database");
        }
        command.args(["--database-url", &url]);
        let gate = Gate::new(format!("CRASH, {backend:?}"), KILLS);
        let mut acknowledged: Vec<pb::Export> = Vec::new();
        let mut connection = String::new();
        while let Some(round) = gate.next() {
            let server = Process::start(&mut command);
            let mut admin = server.admin().await;
            if connection.is_empty() {
                connection = admin.connection("Partner").await.name;
            }
            for export in &acknowledged {
                assert_eq!(admin.read_export(&export.name).await, *export);
            }
            // One caller after the other, each as fast as it can, until the server is no more.
            let callers = (0..4).map(|caller| {
                let (mut admin, connection) = (admin.clone(), connection.clone());
                async move {
                    let mut done = Vec::new();
                    for number in 0.. {
                        let request = create_export(&connection, &format!("Export {round}/{caller}/{number}"));
                        match admin.exports.create_export(request).await {
                            Ok(created) => done.push(created.into_inner().export.expect("answered")),
                            Err(_) => break,
                        }
                    }
                    done
                }
            });
            let calling = tokio::spawn(futures_util::future::join_all(callers));
            let count = |admin: &mut Client| {
                let (mut admin, name) = (admin.clone(), connection.clone());
                async move { admin.read_connection(&name).await.attached_export_count }
            };
            let before = count(&mut admin).await;
            while count(&mut admin).await < before + 20 {}
            server.signal("KILL");
            acknowledged.extend(calling.await.expect("they ended").into_iter().flatten());
        }
        gate.report(&format!(", {} acknowledged", acknowledged.len()));
        assert!(acknowledged.len() >= 20);
        // What was not acknowledged may be there, but only whole.
        let server = Process::start(&mut command);
        let mut admin = server.admin().await;
        let attached = admin.read_connection(&connection).await.attached_export_count;
        assert!(usize::try_from(attached).expect("a count") >= acknowledged.len());
        Database::open(&url).await.check_rows().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_does_so_whoever_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Process::start(&mut outflow(folder.path()));
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    admin.export(&connection, "Stays").await;
    // A stream that follows and one of health, a client that does nothing, one that has not even said hello, and one that
    // stopped halfway through.
    let request = pb::StreamBlockingExportsRequest { name: connection, follow: true, ..Default::default() };
    let mut stream = admin.connections.stream_blocking_exports(request).await.expect("opened").into_inner();
    let _idle = server.viewer().await;
    let _silent = tokio::net::TcpStream::connect(server.address()).await.expect("connected");
    let mut halfway = tokio::net::TcpStream::connect(server.address()).await.expect("connected");
    halfway.write_all(b"PRI * HTTP").await.expect("sent");
    let channel = Endpoint::from_shared(format!("http://{}", server.address())).expect("an address").connect().await;
    let mut health = HealthClient::new(channel.expect("connected"));
    let watch = HealthCheckRequest { service: String::new() };
    let mut watched = health.watch(watch).await.expect("opened").into_inner();
    let seen = |status: ServingStatus| HealthCheckResponse { status: status.into() };
    assert_eq!(watched.message().await.expect("alive"), Some(seen(ServingStatus::Serving)));
    let since = Instant::now();
    server.signal("TERM");
    let refusal = loop {
        match stream.message().await {
            Ok(message) => assert!(message.is_some(), "the stream does not end well"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
    assert_eq!(watched.message().await.expect("it is told first"), Some(seen(ServingStatus::NotServing)));
    let refusal = watched.message().await.expect_err("and then ended");
    assert_eq!((refusal.code(), refusal.reason().as_str()), (Code::Unavailable, "DRAINING"));
    let ended = tokio::task::spawn_blocking(move || server.child.wait()).await.expect("waited");
    assert!(ended.expect("it ended").success());
    assert!(since.elapsed() < Duration::from_secs(10), "nobody is waited for who has no call");
}
