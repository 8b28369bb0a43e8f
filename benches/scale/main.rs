//! Compares the rates of calls with 1,000 exports and with 1,000,000 exports in the database: no call should depend on their
//! number.
//!
//! `cargo bench --bench scale` starts two servers, each with a database of its own, and makes the same calls to both in turn, on
//! SQLite, then on PostgreSQL; append `-- sqlite` or `-- postgres` for one of them. It prints the median rates of all rounds and
//! the median of their ratios, of which the goal is 0.95. Tests, previews and datasets, which leave the database, and
//! CancelExportRun are not compared. `BENCH_ROUNDS` is 9 and `BENCH_EXPORTS` 1,000,000 unless set.

#![expect(clippy::print_stdout, reason = "the figures are the output of a benchmark")]
#![expect(clippy::expect_used, reason = "a panic fails the benchmark")]

mod calls;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/it/scale/fill.rs"]
mod fill;
mod raw;
#[path = "../limits/settle.rs"]
mod settle;
mod side;
#[expect(dead_code, unused_imports, reason = "the tests need more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use calls::CALLS;
use settle::settle;
use side::{CONNECTIONS, Side};
use support::Backend;

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The least ratio that is not marked.
const GOAL: f64 = 0.95;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (backend, name) in [(Backend::Sqlite, "sqlite"), (Backend::Postgres, "postgres")] {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            runtime.block_on(compare(backend));
        }
    }
}

/// Makes all calls to both servers, round by round. The first round is a warm-up.
async fn compare(backend: Backend) {
    let exports = number("BENCH_EXPORTS", 1_000_000);
    println!("\n{backend:?}, {CONNECTIONS} connections, {CONNECTIONS} and {exports} exports");
    let sides = [Side::start(backend, 1).await, Side::start(backend, exports / CONNECTIONS).await];
    let mut rates = vec![[Vec::new(), Vec::new()]; CALLS.len()];
    for round in 0..=number("BENCH_ROUNDS", 9) {
        // Before the warm-up and after it, which makes the first runs.
        if round < 2 {
            for side in &sides {
                settle(&side.server.database().await).await;
            }
        }
        for (call, rates) in CALLS.iter().zip(&mut rates) {
            // Each of the two is first in every other round.
            for index in [round % 2, (round + 1) % 2] {
                let rate = sides[index].rate(call, round).await;
                if round > 0 {
                    rates[index].push(rate);
                }
            }
        }
    }
    let mut missed = 0;
    for (call, [few, many]) in CALLS.iter().zip(rates) {
        let ratio = median(few.iter().zip(&many).map(|(few, many)| many / few).collect());
        let mark = if ratio < GOAL { "  below the goal" } else { "" };
        missed += usize::from(ratio < GOAL);
        let (few, many, name) = (median(few), median(many), call.name());
        println!("  {name:<44} {few:>7.0} /s and {many:>7.0} /s, ratio {ratio:.2}{mark}");
    }
    println!("  {missed} of {} calls are below {GOAL}", CALLS.len());
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number in the environment"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
