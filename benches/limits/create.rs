//! Benchmark of CreateExport: 8 calls in flight, spread over 1,000 connections.

use futures_util::future::join_all;
use outflow::grpc::proto as pb;

use crate::bare::Contenders;
use crate::rounds::compare;
use crate::support::{Clients as _, TestServer, create_export};

/// The number of calls of each contender in a round.
const CALLS: u64 = 2_000;
/// The number of concurrent calls.
const IN_FLIGHT: u64 = 8;
/// The number of connections that exports are created on.
const CONNECTIONS: usize = 1_000;
/// The number of existing exports, so that the table is not empty.
const EXISTING_EXPORTS: u64 = 20_000;

/// Clears the fields that differ between two exports of equal requests.
fn comparable(export: pb::Export) -> pb::Export {
    pb::Export {
        name: String::new(),
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        ..export
    }
}

/// Runs the benchmark.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        connections.push(admin.shared_connection(&format!("Connection {number}")).await.name);
    }
    let template = admin.export(&connections[0], "First").await;
    let database = server.database().await;
    database.attach_copies(&template, EXISTING_EXPORTS).await;
    // Autovacuum would do this within minutes. By the statistics of an empty table PostgreSQL picks the wrong index.
    database.execute("ANALYZE").await;
    let request = |number: usize| create_export(&connections[number % CONNECTIONS], "Weekly");
    let mut responses = Vec::new();
    for contender in &contenders.contributors {
        let created = contender[0].clone().exports.create_export(request(0)).await.expect("created").into_inner();
        responses.push(comparable(created.export.expect("an export")));
    }
    assert!(responses.iter().all(|response| *response == responses[0]), "responses differ: {responses:#?}");
    compare("CreateExport", CALLS, async |contender| {
        let channels = &contenders.contributors[contender];
        let request = &request;
        let workers = (0..IN_FLIGHT).map(|worker| async move {
            let worker = usize::try_from(worker).expect("small");
            let mut client = channels[worker % channels.len()].clone();
            for number in 0..usize::try_from(CALLS / IN_FLIGHT).expect("small") {
                client.exports.create_export(request(number * 8 + worker)).await.expect("created");
            }
        });
        join_all(workers).await;
    })
    .await;
    // The rows of the bare handlers satisfy the same invariants as those of the service.
    server.check_rows().await;
}
