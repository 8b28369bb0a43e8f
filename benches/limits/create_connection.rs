//! Benchmark of CreateConnection with a credential: 32 calls in flight. The bare server does not seal the credential.

use crate::bare::Contenders;
use crate::responses::{assert_equal, comparable_connection};
use crate::rounds::{WITHOUT_SQLX, call_in_flight, compare};
use crate::settle::settle;
use crate::support::{Clients as _, TestServer, create_connection};

/// The number of calls of each contender in a round.
const CALLS: u64 = 2_000;
/// The number of concurrent calls.
const IN_FLIGHT: u64 = 32;

/// Runs the benchmark.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    server.admin().await.connection("First").await;
    settle(&server.database().await).await;
    let mut responses = Vec::new();
    for (contender, _) in contenders.admins.iter().zip(WITHOUT_SQLX) {
        let mut client = contender[0].clone();
        let created = client.connections.create_connection(create_connection("Partner")).await.expect("created");
        responses.push(comparable_connection(created.into_inner().connection));
    }
    assert_equal(&responses);
    compare("CreateConnection", CALLS, &WITHOUT_SQLX, async |contender| {
        call_in_flight(&contenders.admins[contender], CALLS, IN_FLIGHT, async |client, _| {
            client.connections.create_connection(create_connection("Partner")).await.expect("created");
        })
        .await;
    })
    .await;
    // The rows of the bare handlers satisfy the same invariants as those of the service.
    server.check_rows().await;
}
