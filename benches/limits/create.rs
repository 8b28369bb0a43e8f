//! CreateExport, 8 calls in flight, spread over 1,000 connections.

use futures_util::future::join_all;
use outflow::grpc::proto as pb;

use crate::bare::Contenders;
use crate::rounds::compare;
use crate::support::{Clients as _, TestServer, create_export};

const CALLS: u64 = 2_000;
const IN_FLIGHT: u64 = 8;
const CONNECTIONS: usize = 1_000;
/// Exports that are there already, for a table as it is after a while.
const EXPORTS: u64 = 20_000;

/// What can be equal of two exports.
fn equal(export: pb::Export) -> pb::Export {
    pb::Export {
        name: String::new(),
        uid: String::new(),
        etag: String::new(),
        create_time: None,
        update_time: None,
        ..export
    }
}

/// Runs it.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        connections.push(admin.shared_connection(&format!("Connection {number}")).await.name);
    }
    let template = admin.export(&connections[0], "First").await;
    let database = server.database().await;
    database.attach_copies(&template, EXPORTS).await;
    // As PostgreSQL does by itself within minutes: what it knows of an empty table makes it choose the wrong index.
    database.execute("ANALYZE").await;
    let request = |number: usize| create_export(&connections[number % CONNECTIONS], "Weekly");
    let mut answers = Vec::new();
    for contender in &contenders.anns {
        let created = contender[0].clone().exports.create_export(request(0)).await.expect("created").into_inner();
        answers.push(equal(created.export.expect("answered")));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all give the same answer: {answers:#?}");
    compare("CreateExport", CALLS, async |contender| {
        let channels = &contenders.anns[contender];
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
    // What the bare handlers wrote is as whole as what the service did.
    server.check_rows().await;
}
