//! ListExports: page 10,000 of a million exports against page 1.

use std::time::Instant;

use outflow::grpc::proto as pb;

use crate::rounds::{median, rounds};
use crate::support::{Client, Clients as _, TestServer, parent};

const EXPORTS: u64 = 1_000_000;
const PAGE: i32 = 100;
/// The last page.
const TEN_THOUSANDTH: u64 = EXPORTS / 100;
/// Pages of each kind in a round.
const PAGES: usize = 40;

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

/// The token of page 10,000: tokens belong to places, not to sizes.
async fn token(client: &mut Client, order_by: &str) -> String {
    let (mut token, mut passed) = (String::new(), 0);
    let before = (TEN_THOUSANDTH - 1) * u64::from(PAGE.unsigned_abs());
    while passed < before {
        let size = 1_000.min(before - passed);
        let (found, next) = page(client, order_by, i32::try_from(size).expect("small"), &token).await;
        passed += found as u64;
        token = next;
    }
    token
}

/// Runs it.
pub async fn run(server: &TestServer) {
    let mut admin = server.admin().await;
    let database = server.database().await;
    let connection = admin.connection("Million").await.name;
    let template = admin.export(&connection, "First").await;
    let there = u64::try_from(database.fetch_count("SELECT count(*) FROM exports").await).expect("a count");
    database.attach_copies(&template, EXPORTS - there).await;
    database.execute("ANALYZE").await;
    for order_by in ["create_time", "display_name", "update_time"] {
        let last = token(&mut admin, order_by).await;
        let mut ratios = Vec::new();
        for _ in 0..rounds() {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..PAGES {
                for (times, token) in times.iter_mut().zip(["", last.as_str()]) {
                    let since = Instant::now();
                    let (found, _) = page(&mut admin, order_by, PAGE, token).await;
                    times.push(since.elapsed().as_secs_f64());
                    assert_eq!(found, 100);
                }
            }
            let [first, last] = times.map(median);
            ratios.push(last / first);
        }
        println!("  ListExports by {order_by:<13} page {TEN_THOUSANDTH} takes {:.2} of page 1", median(ratios));
    }
}
