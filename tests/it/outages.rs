//! FAULTS: PostgreSQL that stops and starts under load, and a replica that is cut off from it in the middle of transactions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outflow::grpc::proto as pb;
use outflow::model::Role;
use parking_lot::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
use tonic::{Code, Status};

use crate::support::{
    Backend, Client, Clients as _, Database, ErrorExt as _, Gate, Proxy, TestServer, create_export, lock_connections,
    new_database, print_line, start_cluster, with_timeout,
};

/// How often PostgreSQL is stopped and started.
const STOPS: u64 = 5;
/// Callers who make one call after the other: more than there are database connections.
const CALLERS: usize = 40;
/// How long the service has to serve again once PostgreSQL accepts connections.
const MAX_RECOVERY: Duration = Duration::from_secs(10);
/// How long the locks of a replica may be held that is cut off.
const MAX_LOCKED: Duration = Duration::from_secs(30);

/// What callers have seen.
#[derive(Default)]
struct Seen {
    succeeded: Vec<AtomicU64>,
    /// When a call began, and how it failed.
    failed: Mutex<Vec<(Instant, Status)>>,
    stop: AtomicBool,
}

impl Seen {
    /// Starts callers on a connection.
    async fn start(server: &TestServer, connection: &str) -> (Arc<Self>, JoinSet<()>) {
        let seen = Self { succeeded: (0..CALLERS).map(|_| AtomicU64::new(0)).collect(), ..Self::default() };
        let seen = Arc::new(seen);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let client = server.caller("acme", &format!("caller-{caller}"), &[Role::Admin], &[]).await;
            let (seen, connection) = (Arc::clone(&seen), connection.to_owned());
            callers.spawn(async move { seen.call(caller, client, connection).await });
        }
        (seen, callers)
    }

    async fn call(&self, caller: usize, mut client: Client, connection: String) {
        for number in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let began = Instant::now();
            let response = match number % 3 {
                0 => {
                    let get = pb::GetConnectionRequest { name: connection.clone() };
                    client.connections.get_connection(get).await.map(drop)
                }
                1 => {
                    let resume = pb::ResumeConnectionRequest { name: connection.clone(), ..Default::default() };
                    client.connections.resume_connection(resume).await.map(drop)
                }
                _ => {
                    let mut create = create_export(&connection, &format!("Export {caller}/{number}"));
                    create.validate_only = true;
                    client.exports.create_export(create).await.map(drop)
                }
            };
            match response {
                Ok(()) => drop(self.succeeded[caller].fetch_add(1, Ordering::Relaxed)),
                Err(status) => self.failed.lock().push((began, status)),
            }
        }
    }

    /// Waits until every caller has succeeded once more.
    async fn wait_until_all_succeed(&self) {
        let before: Vec<_> = self.succeeded.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all = || self.succeeded.iter().zip(&before).all(|(count, before)| count.load(Ordering::Relaxed) > *before);
        with_timeout("calls that succeed", async {
            while !all() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Failures of calls that began after a time.
    fn failed_since(&self, time: Instant) -> usize {
        self.failed.lock().iter().filter(|(began, _)| *began > time).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_serves_again_after_postgresql_was_stopped_and_started() {
    let mut cluster =
        spawn_blocking(|| start_cluster("stopped", &[], "-c shared_buffers=64MB")).await.expect("started");
    let url = cluster.new_database();
    let server = TestServer::start_with(Backend::Postgres, vec![("database_url", url)]).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    let (seen, mut callers) = Seen::start(&server, &connection).await;
    let gate = Gate::new("FAULTS, PostgreSQL stopped and started under load", STOPS).at_least(2);
    let (mut refused, mut slowest) = (0, Duration::ZERO);
    while gate.next().is_some() {
        seen.wait_until_all_succeed().await;
        seen.failed.lock().clear();
        cluster = spawn_blocking(move || {
            cluster.stop();
            cluster
        })
        .await
        .expect("stopped");
        let stopped = Instant::now();
        with_timeout("calls that are refused", async {
            while seen.failed_since(stopped) < CALLERS {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        for (began, status) in seen.failed.lock().drain(..) {
            assert!(![Code::Internal, Code::Unknown].contains(&status.code()), "{status:?}");
            if began > stopped {
                assert_eq!((status.code(), status.reason().as_str()), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
                refused += 1;
            }
        }
        cluster = spawn_blocking(move || {
            cluster.start();
            cluster
        })
        .await
        .expect("started");
        let started = Instant::now();
        seen.wait_until_all_succeed().await;
        slowest = slowest.max(started.elapsed());
    }
    seen.stop.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}
    gate.report(&format!(", {refused} calls were unavailable, all callers served again after at most {slowest:.1?}"));
    assert!(slowest <= MAX_RECOVERY);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_locks_of_a_replica_that_is_cut_off_are_released() {
    let url = spawn_blocking(new_database).await.expect("a database");
    let (user, rest) = url.split_once('@').expect("a user");
    let (host, name) = rest.split_once('/').expect("a name");
    let proxy = Proxy::start(host.to_owned()).await;
    let proxied = format!("{user}@{}/{name}", proxy.address);
    let server = TestServer::start_with(Backend::Postgres, vec![("database_url", proxied)]).await;
    let mut admin = server.admin().await;
    let connection = admin.connection("Partner").await.name;
    let database = Database::open(&url).await;
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'outflow' AND state = 'idle in transaction'";
    let (seen, _callers) = Seen::start(&server, &connection).await;
    // Until it is cut in the middle of a transaction.
    loop {
        seen.wait_until_all_succeed().await;
        proxy.stop_forwarding();
        if database.fetch_count(idle).await > 0 {
            break;
        }
        proxy.resume_forwarding();
    }
    let cut = Instant::now();
    let lock = tokio::time::timeout(2 * MAX_LOCKED, lock_connections(&url)).await.expect("the lock is free");
    let locked = cut.elapsed();
    lock.rollback().await.expect("rolled back");
    seen.stop.store(true, Ordering::Relaxed);
    proxy.resume_forwarding();
    print_line(&format!("gate FAULTS, a replica cut off in a transaction: its locks were free after {locked:.1?}"));
    assert!(locked <= MAX_LOCKED);
}
