//! Benchmark of GetConnection: 64 calls in flight.

use futures_util::future::join_all;

use crate::bare::Contenders;
use crate::rounds::compare;
use crate::support::{Client, Clients as _, TestServer};

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
    compare("GetConnection", CALLS, async |contender| {
        let channels = &contenders.admins[contender];
        let name = &name;
        let workers = (0..IN_FLIGHT).map(|worker| async move {
            let mut client: Client = channels[usize::try_from(worker).expect("small") % channels.len()].clone();
            for _ in 0..CALLS / IN_FLIGHT {
                client.read_connection(name).await;
            }
        });
        join_all(workers).await;
    })
    .await;
}
