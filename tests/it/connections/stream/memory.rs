//! A million blocking exports: the stream is complete, and the memory of the server does not grow with their number.

use std::time::Instant;

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;

use super::Reader;
use crate::support::{Clients as _, Database, Gate, Process, create_export, cron, new_database, outflow, print_line};

/// The number of exports in a full run.
const EXPORTS: u64 = 1_000_000;
/// The number of exports in other runs: what a debug build streams in the time of a gate.
const EXPORTS_IN_SHORT_RUN: u64 = 300_000;
/// How much the memory of the server may grow beyond that of an idle server, in KiB.
const MAX_GROWTH_KIB: u64 = 32 * 1024;
/// The number of exports streamed before the measurement, to open database connections and fill buffers.
const WARM_UP_EXPORTS: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_listing_is_complete_and_server_memory_stays_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
    let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
    let server = Process::start(outflow(directory.path()).args(["--database-url", &url]));
    let database = Database::open(&url).await;
    let mut admin = server.admin().await;
    let (warm, large) = (admin.connection("Warm").await.name, admin.connection("Large").await.name);
    let count = if Gate::is_full() { EXPORTS } else { EXPORTS_IN_SHORT_RUN };
    let mut first = String::new();
    for (connection, count) in [(&warm, WARM_UP_EXPORTS), (&large, count)] {
        let mut request = create_export(connection, "First");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let template = admin.exports.create_export(request).await.expect("created").into_inner();
        let template = template.export.expect("an export");
        database.attach_copies(&template, count - 1).await;
        first = template.name;
    }
    for _ in 0..3 {
        let mut reader = Reader::open(&mut admin, &warm, "", false).await.expect("opened");
        assert_eq!(reader.listing().await.0.len(), 2_000);
    }
    let idle = server.memory_kib("VmRSS");
    server.reset_peak_memory();

    let start = Instant::now();
    let mut reader = Reader::open(&mut admin, &large, "", false).await.expect("opened");
    // Each export arrives once and in order: the ids of the copies end with their numbers.
    assert_eq!(reader.blocking().await, first);
    let mut seen = 1;
    let summary = loop {
        match reader.event().await {
            Event::Blocking(blocking) => {
                assert!(blocking.name.ends_with(&format!("-{seen}")), "{} at position {seen}", blocking.name);
                assert!(blocking.next_run_time.is_some());
                seen += 1;
            }
            Event::Summary(summary) => break summary,
            other => panic!("{other:?} within the listing"),
        }
    };
    reader.end().await;
    assert_eq!((seen, summary.blocking_export_count.cast_unsigned()), (count, count));
    let peak = server.memory_kib("VmHWM");
    let seconds = start.elapsed().as_secs_f64();
    print_line(&format!(
        "gate STREAM: {seen} of {EXPORTS} blocking exports in {seconds:.1} s; server memory idle {idle} KiB, \
         peak {peak} KiB, growth limit {MAX_GROWTH_KIB} KiB"
    ));
    assert!(peak <= idle + MAX_GROWTH_KIB, "idle {idle} KiB, peak {peak} KiB");
}
