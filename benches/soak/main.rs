//! Calls the binary for 10 minutes, and fails if its memory grows or if a call ends in another way than expected.
//!
//! `cargo bench --bench soak` starts the binary with a new database, first SQLite, then PostgreSQL; append `-- sqlite` or
//! `-- postgres` for one of them. Workers read, list, create, change, detach, attach and delete, read streams, cancel calls and
//! make calls that are refused. Each deletes what it created, so that the number of connections and exports stays the same; the
//! audit log grows. Each minute prints the rate of calls and the resident memory of the process.
//!
//! It fails if the median memory of the last quarter exceeds that of the second quarter by more than 10 % or 4 MiB, whichever is
//! larger. `BENCH_SECONDS` is 600 unless set.

#![expect(clippy::print_stdout, reason = "the figures are the output of a benchmark")]
#![expect(clippy::expect_used, reason = "a panic fails the benchmark")]

#[expect(dead_code, unused_imports, reason = "the tests need more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use support::{Backend, Process, new_database, outflow};
use worker::{Counts, Worker};

/// The number of workers. Each makes one call after the other.
const WORKERS: u64 = 8;
/// How much the memory may grow, in KiB, if that is more than a tenth of it.
const MAX_GROWTH_KIB: u64 = 4 * 1024;
/// The interval of printed lines in seconds, which is also the number of samples between them.
const PRINT_INTERVAL: u32 = 60;

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let seconds = std::env::var("BENCH_SECONDS").map_or(600, |text| text.parse().expect("a number in the environment"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut passed = true;
    for (backend, name) in [(Backend::Sqlite, "sqlite"), (Backend::Postgres, "postgres")] {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            passed &= runtime.block_on(soak(backend, Duration::from_secs(seconds)));
        }
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Calls the binary with a database for as long as `duration`. Returns whether it passed.
async fn soak(backend: Backend, duration: Duration) -> bool {
    println!("\n{backend:?}");
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = outflow(directory.path());
    // What it prints is kept.
    command.env("OUTFLOW_LOG", "warn");
    if backend == Backend::Postgres {
        outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
        command.arg("--database-url").arg(tokio::task::spawn_blocking(new_database).await.expect("a database"));
    }
    let process = Process::start(&mut command);
    let counts = Arc::new(Counts::default());
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        workers.push(Worker::prepare(&process, number, Arc::clone(&counts)).await);
    }
    let end = Instant::now() + duration;
    let tasks: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(worker.run(end))).collect();
    let samples = sample(&process, &counts, end).await;
    for task in tasks {
        task.await.expect("the worker ends");
    }
    passes(&samples, counts.unexpected.load(Ordering::Relaxed))
}

/// Samples the resident memory of the process each second, in KiB.
async fn sample(process: &Process, counts: &Counts, end: Instant) -> Vec<u64> {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let (mut samples, mut printed_calls) = (Vec::new(), 0);
    while Instant::now() < end {
        interval.tick().await;
        samples.push(process.memory_kib("VmRSS"));
        if samples.len().is_multiple_of(PRINT_INTERVAL as usize) {
            let (calls, unexpected) = (counts.calls.load(Ordering::Relaxed), counts.unexpected.load(Ordering::Relaxed));
            let rate = (calls - printed_calls) / u64::from(PRINT_INTERVAL);
            let minutes = samples.len() / PRINT_INTERVAL as usize;
            let mib = samples[samples.len() - 1] / 1024;
            println!("  after {minutes} min: {rate} calls/s, {mib} MiB, {unexpected} calls ended unexpectedly");
            printed_calls = calls;
        }
    }
    samples
}

/// Compares the quarters, and prints whether the memory grew.
fn passes(samples: &[u64], unexpected: u64) -> bool {
    let quarter = samples.len() / 4;
    assert!(quarter > 0, "too few samples");
    let second = median(samples[quarter..2 * quarter].to_vec());
    let last = median(samples[3 * quarter..].to_vec());
    let has_grown = last > second + (second / 10).max(MAX_GROWTH_KIB);
    let verdict = if has_grown || unexpected > 0 { "failed" } else { "passed" };
    println!(
        "  {verdict}: median memory {second} KiB in the second quarter, {last} KiB in the last one; {unexpected} calls ended \
         unexpectedly"
    );
    !has_grown && unexpected == 0
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
