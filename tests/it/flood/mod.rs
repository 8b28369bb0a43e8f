//! FLOOD: what one caller sends, or does not read, takes neither the memory of the server nor the calls of others.

mod attacks;
mod messages;
mod raw;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;
use outflow::model::Role;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{
    Backend, Client, Clients as _, Gate, Process, create_connection, new_database, outflow, print_line,
};
use attacks::{ATTACKS, Attacker};

/// How much the memory of the server may grow during an attack, in KiB.
const MAX_GROWTH_KIB: u64 = 64 * 1024;
/// How much more than before may be in use after an attack, in KiB.
const MAX_REMAINING_KIB: u64 = 32 * 1024;
/// How long the server has to return memory.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);
/// The share of the calls of others that must succeed, in percent.
const MIN_SUCCESSES_PERCENT: u64 = 99;
/// How long an attack lasts: longer than a message may take to arrive.
const DURATION: Duration = Duration::from_secs(15);
/// How long it lasts outside of a full run.
const SHORT_DURATION: Duration = Duration::from_secs(4);

/// A caller who makes calls during an attack.
struct Bystander {
    stop: Arc<AtomicBool>,
    succeeded: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    calling: tokio::task::JoinHandle<()>,
}

impl Bystander {
    async fn start(server: &Process, organization: &str) -> Self {
        let mut client = server.caller(organization, "bystander", &[Role::Admin], &[]).await;
        let parent = format!("organizations/{organization}");
        let display_name = format!("Partner {}", uuid::Uuid::new_v4());
        let create = pb::CreateConnectionRequest { parent: parent.clone(), ..create_connection(&display_name) };
        let created = client.connections.create_connection(create).await.expect("created").into_inner();
        let name = created.connection.expect("a connection").name;
        let (stop, succeeded, failed) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let calling = tokio::spawn(call_until_stopped(
            (client, parent, name, server.admin_address()),
            Arc::clone(&stop),
            (Arc::clone(&succeeded), Arc::clone(&failed)),
        ));
        Self { stop, succeeded, failed, calling }
    }

    /// Stops, and returns how many calls succeeded and failed.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.calling.await.expect("no panic");
        (self.succeeded.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

async fn call_until_stopped(
    (mut client, parent, name, admin): (Client, String, String, std::net::SocketAddr),
    stop: Arc<AtomicBool>,
    (succeeded, failed): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{admin}")).expect("an address");
    let mut health = HealthClient::new(endpoint.connect().await.expect("the admin listener"));
    let count = |result: Result<(), tonic::Status>, what: &str| match result {
        Ok(()) => drop(succeeded.fetch_add(1, Ordering::Relaxed)),
        Err(status) => {
            eprintln!("{what}: {status:?}");
            failed.fetch_add(1, Ordering::Relaxed);
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let get = pb::GetConnectionRequest { name: name.clone() };
        count(client.connections.get_connection(get).await.map(drop), "get");
        let list = pb::ListConnectionsRequest { parent: parent.clone(), page_size: 3, ..Default::default() };
        count(client.connections.list_connections(list).await.map(drop), "list");
        let resume = pb::ResumeConnectionRequest { name: name.clone(), ..Default::default() };
        count(client.connections.resume_connection(resume).await.map(drop), "resume");
        let ready = health.check(HealthCheckRequest::default()).await.map(|response| {
            assert_eq!(response.into_inner().status(), ServingStatus::Serving);
        });
        count(ready, "readiness");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the server uses no more memory than this, and returns what it uses.
async fn memory_returned(server: &Process, limit: u64) -> u64 {
    let start = Instant::now();
    loop {
        let used = server.memory_kib("VmRSS");
        if used <= limit || start.elapsed() > RETURN_TIMEOUT {
            return used;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn start(backend: Backend) -> (Process, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = outflow(directory.path());
    command.env("OUTFLOW_MAX_CONNECTIONS_PER_ADDRESS", "250").env("OUTFLOW_RUNS", "off");
    if backend == Backend::Postgres {
        outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
        let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
        command.args(["--database-url", &url]);
    }
    (Process::start(&mut command), directory)
}

async fn withstand(backend: Backend) {
    let (server, _directory) = start(backend).await;
    let attacker = Attacker::prepare(&server).await;
    let idle = server.memory_kib("VmRSS");
    let duration = if Gate::is_full() { DURATION } else { SHORT_DURATION };
    for (name, attack) in ATTACKS {
        let bystanders = [Bystander::start(&server, "zeta").await, Bystander::start(&server, "acme").await];
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.reset_peak_memory();
        let done = attack(&attacker, duration).await;
        let peak = server.memory_kib("VmHWM");
        let [others, colleagues] = bystanders.map(Bystander::stop);
        let (others, colleagues) = (others.await, colleagues.await);
        let after = memory_returned(&server, idle + MAX_REMAINING_KIB).await;
        print_line(&format!(
            "gate FLOOD {name}, {backend:?}: {done}; memory idle {} MiB, peak {} MiB, afterwards {} MiB; calls that \
             succeeded and failed: another organization {others:?}, the same one {colleagues:?}",
            idle / 1024,
            peak / 1024,
            after / 1024
        ));
        assert!(peak <= idle + MAX_GROWTH_KIB, "{name}: idle {idle} KiB, peak {peak} KiB");
        assert!(after <= idle + MAX_REMAINING_KIB, "{name}: idle {idle} KiB, afterwards {after} KiB");
        for (succeeded, failed) in [others, colleagues] {
            assert!(succeeded > 4, "{name}: {succeeded} calls");
            assert!(succeeded * 100 >= (succeeded + failed) * MIN_SUCCESSES_PERCENT, "{name}: {failed} failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_cannot_flood_a_server_on_sqlite() {
    withstand(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_cannot_flood_a_server_on_postgresql() {
    withstand(Backend::Postgres).await;
}
