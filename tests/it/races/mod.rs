//! Two calls at once, many times: whichever comes first, no forbidden outcome, and no fault of ours.

mod credential;
mod migrate;
mod removal;
mod set;
mod sharing;
mod twins;

use std::sync::atomic::{AtomicU64, Ordering};

use tonic::{Response, Status};

use crate::support::{Client, Clients as _, ErrorExt as _, Gate, TestServer, on_both};

/// Rounds of each race on each database.
const ROUNDS: u64 = 500;

/// Who races, each over a connection of its own.
#[derive(Clone)]
struct Racers {
    admin: Client,
    second: Client,
    ann: Client,
    /// A connection that everybody may use, where exports are that move.
    home: String,
}

/// Runs a race on both databases. A round says whether the first of the two came first; both numbers are told, for a race
/// that goes one way every time shows little.
async fn race(name: &str, round: impl AsyncFn(&TestServer, Racers, u64) -> bool) {
    on_both(async |server: TestServer| {
        let (mut admin, second, ann) = (server.admin().await, server.admin().await, server.contributor("ann").await);
        let home = admin.shared_connection("Home").await.name;
        let racers = Racers { admin, second, ann, home };
        let first = AtomicU64::new(0);
        let gate = Gate::new(format!("RACES {name}, {:?}", server.backend), ROUNDS);
        let reached = gate
            .run(async |number| {
                let came_first = round(&server, racers.clone(), number).await;
                first.fetch_add(u64::from(came_first), Ordering::Relaxed);
            })
            .await;
        let first = first.into_inner();
        gate.report(&format!(", {first} times the one came first, {} times the other", reached - first));
        server.check_rows().await;
    })
    .await;
}

/// `OK`, or the reason of the refusal.
fn outcome<T>(answer: &Result<Response<T>, Status>) -> String {
    match answer {
        Ok(_) => "OK".to_owned(),
        Err(status) if status.reason().is_empty() => format!("{status:?}"),
        Err(status) => status.reason(),
    }
}
