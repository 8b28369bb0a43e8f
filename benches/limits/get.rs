//! Benchmark of GetConnection: 64 calls in flight.

use crate::bare::Contenders;
use crate::rounds::{CONTENDERS, call_in_flight, compare};
use crate::support::{Clients as _, TestServer};

/// The number of calls of each contender in a round.
const CALLS: u64 = 10_000;
/// The number of concurrent calls.
const IN_FLIGHT: u64 = 64;

/// Runs the benchmark.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let name = admin.shared_connection("Partner").await.name;
    let expected = admin.read_connection(&name).await;
    for contender in &contenders.admins {
        assert_eq!(contender[0].clone().read_connection(&name).await, expected, "responses differ");
    }
    compare("GetConnection", CALLS, &CONTENDERS, async |contender| {
        call_in_flight(&contenders.admins[contender], CALLS, IN_FLIGHT, async |client, _| {
            client.read_connection(&name).await;
        })
        .await;
    })
    .await;
}
