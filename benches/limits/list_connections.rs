//! Benchmark of ListConnections: pages of 50 of 200 connections, 32 calls in flight.

use outflow::grpc::proto as pb;

use crate::bare::Contenders;
use crate::responses::assert_equal;
use crate::rounds::{CONTENDERS, call_in_flight, compare};
use crate::settle::settle;
use crate::support::{Clients as _, TestServer, parent};

/// The number of calls of each contender in a round.
const CALLS: u64 = 2_000;
/// The number of concurrent calls.
const IN_FLIGHT: u64 = 32;
/// The number of connections.
const CONNECTIONS: i64 = 200;
/// The size of a page.
const PAGE_SIZE: i32 = 50;

/// Runs the benchmark.
pub async fn run(server: &TestServer, contenders: &Contenders) {
    let mut admin = server.admin().await;
    let database = server.database().await;
    for number in database.fetch_count("SELECT count(*) FROM connections").await..CONNECTIONS {
        admin.connection(&format!("Connection {number}")).await;
    }
    settle(&database).await;
    let request = pb::ListConnectionsRequest { parent: parent(), page_size: PAGE_SIZE, ..Default::default() };
    let mut responses = Vec::new();
    for contender in &contenders.admins {
        let page = contender[0].clone().connections.list_connections(request.clone()).await.expect("listed");
        let page = page.into_inner();
        assert!(page.connections.len() == 50 && !page.next_page_token.is_empty(), "the page is full");
        responses.push(page.connections);
    }
    assert_equal(&responses);
    compare("ListConnections", CALLS, &CONTENDERS, async |contender| {
        call_in_flight(&contenders.admins[contender], CALLS, IN_FLIGHT, async |client, _| {
            client.connections.list_connections(request.clone()).await.expect("listed");
        })
        .await;
    })
    .await;
}
