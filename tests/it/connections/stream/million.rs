//! A million blocking exports: all of them arrive, and the server's memory does not grow with their number.

use std::time::Instant;

use outflow::grpc::proto as pb;
use pb::stream_blocking_exports_response::Event;

use super::Reader;
use crate::support::{Clients as _, Database, Gate, Process, create_export, cron, new_database, outflow, print_line};

/// How many there are in a full run; otherwise as many as a debug build streams in the time of a gate.
const MILLION: u64 = 1_000_000;
const SOME: u64 = 300_000;
/// How much more than an idle server's memory.
const GROWTH_KIB: u64 = 32 * 1024;
/// What warms a server up: connections to the database, buffers, the allocator.
const WARM: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_million_arrive_and_memory_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    outflow::vault::generate_first(&folder.path().join("keys")).expect("a key");
    let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
    let server = Process::start(outflow(folder.path()).args(["--database-url", &url]));
    let database = Database::open(&url).await;
    let mut admin = server.admin().await;
    let (warm, large) = (admin.connection("Warm").await.name, admin.connection("Large").await.name);
    let count = if Gate::is_full() { MILLION } else { SOME };
    let mut first = String::new();
    for (connection, count) in [(&warm, WARM), (&large, count)] {
        let mut request = create_export(connection, "First");
        request.export.as_mut().expect("an export").schedule = Some(cron("0 6 * * MON", "Europe/Berlin"));
        let template = admin.exports.create_export(request).await.expect("created").into_inner();
        let template = template.export.expect("answered");
        database.attach_copies(&template, count - 1).await;
        first = template.name;
    }
    for _ in 0..3 {
        let mut reader = Reader::open(&mut admin, &warm, "", false).await.expect("opened");
        assert_eq!(reader.listing().await.0.len(), 2_000);
    }
    let idle = server.memory_kib("VmRSS");
    server.reset_peak_memory();

    let since = Instant::now();
    let mut reader = Reader::open(&mut admin, &large, "", false).await.expect("opened");
    // Each once and in its order: they are numbered as they were attached.
    assert_eq!(reader.blocking().await, first);
    let mut seen = 1;
    let summary = loop {
        match reader.event().await {
            Event::Blocking(blocking) => {
                assert!(blocking.name.ends_with(&format!("-{seen}")), "{} at place {seen}", blocking.name);
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
    let seconds = since.elapsed().as_secs_f64();
    print_line(&format!(
        "gate STREAM: {seen} of {MILLION} blocking exports in {seconds:.1} s; server memory idle {idle} KiB, \
         peak {peak} KiB, at most {GROWTH_KIB} KiB more"
    ));
    assert!(peak <= idle + GROWTH_KIB, "idle {idle} KiB, peak {peak} KiB");
}
