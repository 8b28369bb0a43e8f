//! Benchmark of ListExports: page 10,000 of a million exports against page 1.

use std::time::Instant;

use outflow::grpc::proto as pb;

use crate::rounds::{median, rounds};
use crate::settle::settle;
use crate::support::{Client, Clients as _, TestServer, parent};

/// The number of exports.
const EXPORTS: u64 = 1_000_000;
/// The size of a page.
const PAGE_SIZE: i32 = 100;
/// The number of the last page, 10,000.
const LAST_PAGE: u64 = EXPORTS / 100;
/// How often each of the two pages is read in a round.
const READS_PER_ROUND: usize = 40;

/// Reads a page; returns its number of exports and the next page token.
async fn page(client: &mut Client, order_by: &str, page_size: i32, page_token: &str) -> (usize, String) {
    let request = pb::ListExportsRequest {
        parent: parent(),
        page_size,
        page_token: page_token.to_owned(),
        order_by: order_by.to_owned(),
        ..Default::default()
    };
    let page = client.exports.list_exports(request).await.expect("listed").into_inner();
    (page.exports.len(), page.next_page_token)
}

/// The token of the last page. Tokens do not depend on the page size, so larger pages are read on the way.
async fn last_page_token(client: &mut Client, order_by: &str) -> String {
    let (mut token, mut skipped) = (String::new(), 0);
    let before = (LAST_PAGE - 1) * u64::from(PAGE_SIZE.unsigned_abs());
    while skipped < before {
        let size = 1_000.min(before - skipped);
        let (found, next) = page(client, order_by, i32::try_from(size).expect("small"), &token).await;
        skipped += found as u64;
        token = next;
    }
    token
}

/// Runs the benchmark.
pub async fn run(server: &TestServer) {
    let mut admin = server.admin().await;
    let database = server.database().await;
    let connection = admin.connection("Million").await.name;
    let template = admin.export(&connection, "First").await;
    let existing = u64::try_from(database.fetch_count("SELECT count(*) FROM exports").await).expect("a count");
    database.attach_copies(&template, EXPORTS - existing).await;
    settle(&database).await;
    for order_by in ["create_time", "display_name", "update_time"] {
        let last = last_page_token(&mut admin, order_by).await;
        let mut ratios = Vec::new();
        for _ in 0..rounds() {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..READS_PER_ROUND {
                for (times, token) in times.iter_mut().zip(["", last.as_str()]) {
                    let start = Instant::now();
                    let (found, _) = page(&mut admin, order_by, PAGE_SIZE, token).await;
                    times.push(start.elapsed().as_secs_f64());
                    assert_eq!(found, 100);
                }
            }
            let [first, last] = times.map(median);
            ratios.push(last / first);
        }
        println!(
            "  ListExports by {order_by:<13} page {LAST_PAGE} takes {:.2} times as long as page 1",
            median(ratios)
        );
    }
}
