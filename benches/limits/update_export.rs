//! Benchmark of UpdateExport: the display name of one of 200 exports, each on a connection of its own, 32 calls in flight.

use outflow::grpc::proto as pb;
use prost_types::FieldMask;

use crate::bare::Contenders;
use crate::responses::{assert_equal, comparable_export};
use crate::rounds::{WITHOUT_SQLX, call_in_flight, compare};
use crate::settle::settle;
use crate::support::{Clients as _, TestServer};

/// The number of calls of each contender in a round.
const CALLS: u64 = 2_000;
/// The number of concurrent calls.
const IN_FLIGHT: u64 = 32;
/// The number of exports.
const EXPORTS: usize = 200;

fn rename(name: &str, display_name: String) -> pb::UpdateExportRequest {
    pb::UpdateExportRequest {
        export: Some(pb::Export { name: name.to_owned(), display_name, ..pb::Export::default() }),
        update_mask: Some(FieldMask { paths: vec!["display_name".to_owned()] }),
        ..pb::UpdateExportRequest::default()
    }
}

/// Runs the benchmark.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let mut exports = Vec::new();
    for number in 0..EXPORTS {
        let connection = admin.connection(&format!("Connection {number}")).await.name;
        exports.push(admin.export(&connection, "Weekly").await.name);
    }
    settle(&server.database().await).await;
    let mut responses = Vec::new();
    for (contender, _) in contenders.admins.iter().zip(WITHOUT_SQLX) {
        admin.exports.update_export(rename(&exports[0], "Before".to_owned())).await.expect("updated");
        let request = rename(&exports[0], "After".to_owned());
        let updated = contender[0].clone().exports.update_export(request).await.expect("updated").into_inner();
        responses.push(comparable_export(updated.export));
    }
    assert_equal(&responses);
    compare("UpdateExport", CALLS, &WITHOUT_SQLX, async |contender| {
        call_in_flight(&contenders.admins[contender], CALLS, IN_FLIGHT, async |client, number| {
            let request = rename(&exports[number % EXPORTS], format!("Renamed {number}"));
            client.exports.update_export(request).await.expect("updated");
        })
        .await;
    })
    .await;
    // The rows of the bare handlers satisfy the same invariants as those of the service.
    server.check_rows().await;
}
