//! Compares calls of the service with bare tonic handlers that run the same statements, through SeaORM and with sqlx, in
//! turn, in one run, on both databases.
//!
//! `cargo bench` prints the calls per second of each contender, and the median ratio over all rounds. The server, the
//! load generator and the database share the machine, so only the ratios are meaningful. `BENCH_ROUNDS` is 5 unless set.
//!
//! Then prints what schedules cost: the CPU time of previews, and of creations with and without an expression.

#![expect(clippy::print_stdout, reason = "the figures are the output of a benchmark")]
#![expect(clippy::expect_used, reason = "a panic fails the benchmark")]
#![expect(clippy::wildcard_enum_match_arm, reason = "every other variant fails the benchmark")]

mod bare;
#[path = "../engine/cpu_time.rs"]
mod cpu_time;
mod create;
mod get;
mod list;
mod rounds;
mod schedule;
mod stream;
#[expect(dead_code, unused_imports, reason = "the tests need more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use support::{Backend, TestServer};

fn main() {
    let wants = |name: &str| is_wanted(&["get", "create", "stream", "list", "schedule"], name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for (backend, name) in [(Backend::Sqlite, "sqlite"), (Backend::Postgres, "postgres")] {
            if !is_wanted(&["sqlite", "postgres"], name) {
                continue;
            }
            println!("\n{backend:?}");
            let server = TestServer::start(backend).await;
            let contenders = bare::Contenders::start(&server).await;
            if wants("get") {
                get::run(&server, &contenders).await;
            }
            if wants("create") {
                create::run(&server, &contenders).await;
            }
            if wants("stream") {
                stream::run(&server, &contenders).await;
            }
            if wants("list") {
                list::run(&server).await;
            }
            if wants("schedule") {
                schedule::run(&server).await;
            }
        }
    });
}

/// Whether to run something: `cargo bench --bench limits -- postgres get service` runs only what the arguments name.
/// Without an argument of this kind, all of the kind are run.
fn is_wanted(kind: &[&str], name: &str) -> bool {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| kind.contains(&argument.as_str())).collect();
    named.is_empty() || named.iter().any(|argument| argument == name)
}
