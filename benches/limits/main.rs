//! How far the service is from its limits: each call against bare tonic handlers that run the same statements, through
//! SeaORM and with sqlx by hand, in turn, in one run, on both databases.
//!
//! `cargo bench` prints the figures: what one contender does in a second, and the median ratio of the rounds. Server,
//! generator and database share the machine, so that only ratios say something. `BENCH_ROUNDS` is 5 unless set.

#![expect(clippy::print_stdout, reason = "figures are for whoever runs it")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot go on fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a benchmark that sees anything else than it waits for fails")]

mod bare;
mod create;
mod get;
mod list;
mod rounds;
mod stream;
#[expect(dead_code, unused_imports, reason = "what the tests need besides")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use support::{Backend, TestServer};

fn main() {
    let wants = |name: &str| is_wanted(&["get", "create", "stream", "list"], name);
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
        }
    });
}

/// Whether something is to be run: `cargo bench --bench limits -- postgres get service` runs only what it names.
fn is_wanted(kind: &[&str], name: &str) -> bool {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| kind.contains(&word.as_str())).collect();
    named.is_empty() || named.iter().any(|word| word == name)
}
