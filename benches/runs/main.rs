//! Measures runs: what deliveries cost the calls of the same replica, and how many due runs two replicas start.
//!
//! `cargo bench --bench runs` prints the latency of GetConnection without and beside two large deliveries, on both
//! databases; then, on PostgreSQL, runs per second and the lag behind their due time. Append `-- calls` or `-- due` for
//! one of the two. `BENCH_DUE` is 10,000 due exports, `BENCH_OTHERS` 1,000,000 other exports, and `BENCH_ROWS`
//! 5,000,000 rows of a large delivery unless set.

#![expect(clippy::print_stdout, reason = "the figures are the output of a benchmark")]
#![expect(clippy::expect_used, reason = "a panic fails the benchmark")]

mod calls;
mod due;
#[expect(dead_code, unused_imports, reason = "the tests need more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
#[path = "../engine/table.rs"]
mod table;

use std::time::Duration;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wants = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if wants("calls") {
            calls::run(number("BENCH_ROWS", 5_000_000)).await;
        }
        if wants("due") {
            due::run(number("BENCH_DUE", 10_000), number("BENCH_OTHERS", 1_000_000)).await;
        }
    });
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number in the environment"))
}

/// The duration that 99 of 100 do not exceed, and the median.
fn percentiles(mut durations: Vec<Duration>) -> (Duration, Duration) {
    durations.sort_unstable();
    (durations[durations.len() * 99 / 100], durations[durations.len() / 2])
}
