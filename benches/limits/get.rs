//! GetConnection, 64 calls in flight.

use futures_util::future::join_all;

use crate::bare::Contenders;
use crate::rounds::compare;
use crate::support::{Client, Clients as _, TestServer};

const CALLS: u64 = 10_000;
const IN_FLIGHT: u64 = 64;

/// Runs it.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let name = admin.shared_connection("Partner").await.name;
    let expected = admin.read_connection(&name).await;
    for contender in &contenders.roots {
        assert_eq!(contender[0].clone().read_connection(&name).await, expected, "all give the same answer");
    }
    compare("GetConnection", CALLS, async |contender| {
        let channels = &contenders.roots[contender];
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
