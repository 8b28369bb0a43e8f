//! RACES: runs two or three conflicting calls concurrently, many times, and asserts that only permitted outcomes occur.

mod blocking_set;
mod conflicts;
mod credential;
mod delete;
mod endpoint;
mod migrate;
mod runs;
mod sharing;

use std::sync::atomic::{AtomicU64, Ordering};

use tonic::{Response, Status};

use crate::support::{Client, Clients as _, ErrorExt as _, Gate, TestServer, on_both};

/// The number of rounds of each race on each database.
const ROUNDS: u64 = 500;

/// The clients of a race, each with an HTTP/2 connection of its own.
#[derive(Clone)]
struct Racers {
    admin: Client,
    second: Client,
    ann: Client,
    /// A connection shared with all contributors, for exports that are moved.
    home: String,
}

/// Runs a race on both databases. A round returns whether the first call won. Both counts are printed, because a race
/// that has the same winner every time proves little.
async fn race(name: &str, round: impl AsyncFn(&TestServer, Racers, u64) -> bool) {
    race_for(name, ROUNDS, round).await;
}

/// Runs a race with another number of rounds.
async fn race_for(name: &str, rounds: u64, round: impl AsyncFn(&TestServer, Racers, u64) -> bool) {
    on_both(async |server: TestServer| {
        let (mut admin, second, ann) = (server.admin().await, server.admin().await, server.contributor("ann").await);
        let home = admin.shared_connection("Home").await.name;
        let racers = Racers { admin, second, ann, home };
        let first_wins = AtomicU64::new(0);
        let gate = Gate::new(format!("RACES {name}, {:?}", server.backend), rounds);
        let reached = gate
            .run(async |number| {
                let first_won = round(&server, racers.clone(), number).await;
                first_wins.fetch_add(u64::from(first_won), Ordering::Relaxed);
            })
            .await;
        let first_wins = first_wins.into_inner();
        gate.report(&format!(", the first call won {first_wins} times, another {} times", reached - first_wins));
        server.check_rows().await;
    })
    .await;
}

/// Returns `OK`, or the reason of the error.
fn outcome<T>(response: &Result<Response<T>, Status>) -> String {
    match response {
        Ok(_) => "OK".to_owned(),
        Err(status) if status.reason().is_empty() => format!("{status:?}"),
        Err(status) => status.reason(),
    }
}
