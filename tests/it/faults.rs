//! What goes wrong around us: callers that leave, a database that goes away and comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    Backend, Clients as _, EveryCall, Gate, Names, TestServer, With, every_call, on_both, server_log_lines,
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
    while database.number(IN_TRANSACTION).await > 0 {
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
                let with = With { secret: "left behind".into(), request_id: Uuid::new_v4().to_string() };
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
        gate.tell(&format!(", {} more were answered before they were cut off", answered.into_inner()));
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
