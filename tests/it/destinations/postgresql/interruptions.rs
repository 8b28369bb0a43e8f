//! Connections that end in the middle.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use outflow::delivery::destinations::{Destination as _, Opened};
use outflow::model::FailureCode;

use super::fixture::{Fixture, Options, numbered};
use crate::destinations::cuts::CuttingProxy;
use crate::destinations::services::{Run, code_of, within, write_table};
use crate::support::print_line;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_server_process_ends_is_repeated() {
    let fixture = Fixture::with_target().await;
    let destination = fixture.destination();
    let run = Run::new(true);
    let Opened::Writer(mut writer) = destination.open(&run.delivery(0)).await.expect("open") else {
        panic!("nothing was delivered yet");
    };
    write_table(writer.as_mut(), &numbered(1000, 100)).await.expect("written");
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE usename = 'writer' AND datname = current_database()";
    assert_eq!(fixture.count(ended).await, 1);
    let code = code_of(write_table(writer.as_mut(), &numbered(1000, 100)).await, "a name");
    assert_eq!(code, FailureCode::DestinationUnreachable);
    writer.abort().await;
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 0);
    assert!(run.attempt(&destination, 1, &[numbered(1000, 100)]).await.expect("delivered"));
    assert_eq!(fixture.count("SELECT count(*) FROM target").await, 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_cuts_leave_all_rows_once() {
    const ROWS: usize = 2_000;
    let fixture = Fixture::with_target().await;
    let server = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), fixture.server.port);
    // The bytes of a delivery that is not cut.
    let (mut low, mut high) = (0, 1_000_000);
    while high - low > 4 {
        let middle = usize::midpoint(low, high);
        let proxy = CuttingProxy::start(server, [middle]).await;
        let options = Options { port: proxy.address.port(), ..fixture.options() };
        let delivered = Run::new(true).attempt(&options.destination(), 0, &[numbered(ROWS, 100)]).await;
        fixture.wait_for_sessions().await;
        fixture.run("DELETE FROM target; DELETE FROM outflow_deliveries").await;
        if delivered.is_ok() { high = middle } else { low = middle }
    }
    // Half of the cuts are anywhere, the others near the end, until one was made while the server answered COMMIT. The number
    // of bytes differs a little between deliveries.
    let (mut number, mut cuts, mut committed_by_cut_attempts) = (0, 0, 0);
    while cuts < 20 || committed_by_cut_attempts == 0 {
        number += 1;
        assert!(number < 200, "{cuts} cuts, {committed_by_cut_attempts} of them after COMMIT");
        let budget = rand::random_range(if number % 2 == 0 { 0..high } else { high - high.min(10 * number)..high });
        let proxy = CuttingProxy::start(server, [budget]).await;
        let destination = Options { port: proxy.address.port(), ..fixture.options() }.destination();
        let run = Run::new(true);
        let delivered = async {
            for attempt in 0.. {
                match run.attempt(&destination, attempt, &[numbered(ROWS, 100)]).await {
                    Ok(delivered) => return (attempt, delivered),
                    Err(error) => assert_eq!(error.code, FailureCode::DestinationUnreachable, "{error}"),
                }
            }
            unreachable!("attempts are not limited");
        };
        let (attempts, delivered) = within(delivered).await;
        assert!(attempts <= 1, "there is one budget");
        // A delivery of fewer bytes than the budget is not cut.
        cuts += proxy.cuts();
        committed_by_cut_attempts += usize::from(!delivered);
        assert_eq!(fixture.count("SELECT count(*) FROM target").await, 2_000, "cut after {budget} of {high} bytes");
        assert_eq!(fixture.count("SELECT count(*) FROM outflow_deliveries").await, 1);
        fixture.run("DELETE FROM target; DELETE FROM outflow_deliveries").await;
    }
    print_line(&format!(
        "{committed_by_cut_attempts} of {cuts} cut attempts had committed; a delivery has {high} bytes"
    ));
}
