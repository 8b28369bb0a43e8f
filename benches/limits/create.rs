//! Benchmark of CreateExport, spread over 1,000 connections: without a schedule, 8 calls in flight, and with a cron
//! expression, 32 calls in flight. The bare servers do not compute when the expression fires.

use crate::bare::Contenders;
use crate::responses::{assert_equal, comparable_export};
use crate::rounds::{CONTENDERS, call_in_flight, compare};
use crate::settle::settle;
use crate::support::{Clients as _, TestServer, create_export, cron};

/// The number of calls of each contender in a round.
const CALLS: u64 = 2_000;
/// The number of connections that exports are created on.
const CONNECTIONS: usize = 1_000;
/// The number of existing exports, so that the table is not empty.
const EXISTING_EXPORTS: u64 = 20_000;

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
    // By the statistics of an empty table PostgreSQL picks the wrong index.
    settle(&database).await;
    let cron = Some(cron("0 6 * * MON", "Europe/Berlin"));
    for (what, schedule, in_flight) in [("CreateExport", None, 8), ("CreateExport with cron", cron, 32)] {
        let request = |number: usize| {
            let mut request = create_export(&connections[number % CONNECTIONS], "Weekly");
            request.export.as_mut().expect("an export").schedule.clone_from(&schedule);
            request
        };
        let mut responses = Vec::new();
        for contender in &contenders.contributors {
            let created = contender[0].clone().exports.create_export(request(0)).await.expect("created").into_inner();
            responses.push(comparable_export(created.export));
        }
        assert_equal(&responses);
        compare(what, CALLS, &CONTENDERS, async |contender| {
            call_in_flight(&contenders.contributors[contender], CALLS, in_flight, async |client, number| {
                client.exports.create_export(request(number)).await.expect("created");
            })
            .await;
        })
        .await;
    }
    // The rows of the bare handlers satisfy the same invariants as those of the service.
    server.check_rows().await;
}
