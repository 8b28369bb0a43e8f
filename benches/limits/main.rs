//! Compares calls of the service with bare tonic handlers that run the same statements, through SeaORM and with sqlx, in
//! turn, in one run, on both databases.
//!
//! `cargo bench` prints the calls per second of each contender, and the median ratio over all rounds. The server, the
//! load generator and the database share the machine, so only the ratios are meaningful. `BENCH_ROUNDS` is 5 unless set.
//!
//! Then prints what schedules cost: the CPU time of previews, and of creations with and without an expression.
//!
//! `cargo bench --bench limits -- serve DATABASE_URL LISTEN_ADDRESS` serves the bare handlers of SeaORM alone, on a database
//! that the service made and filled, for other load generators. They read and write rows of the organization `acme` as its
//! administrator `root`, take any token, and have the calls that are compared here with their default order and size of
//! pages, on connections of the type `sftp`.

#![expect(clippy::print_stdout, reason = "the figures are the output of a benchmark")]
#![expect(clippy::expect_used, reason = "a panic fails the benchmark")]
#![expect(clippy::wildcard_enum_match_arm, reason = "every other variant fails the benchmark")]

mod bare;
#[path = "../engine/cpu_time.rs"]
mod cpu_time;
mod create;
mod create_connection;
mod get;
mod list;
mod list_connections;
mod responses;
mod rounds;
mod schedule;
mod settle;
mod stream;
#[expect(dead_code, unused_imports, reason = "the tests need more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod update_export;

use support::{Backend, TestServer};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The benchmarks, in the order in which they are run.
const BENCHMARKS: [&str; 8] =
    ["get", "list_connections", "create_connection", "update_export", "create", "stream", "list", "schedule"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [command, url, address] = arguments.as_slice()
        && command == "serve"
    {
        return runtime.block_on(bare::serve_alone(url, address));
    }
    runtime.block_on(async {
        for (backend, name) in [(Backend::Sqlite, "sqlite"), (Backend::Postgres, "postgres")] {
            if is_wanted(&["sqlite", "postgres"], name) {
                println!("\n{backend:?}");
                run(&TestServer::start(backend).await).await;
            }
        }
    });
}

/// Runs the benchmarks that are wanted.
async fn run(server: &TestServer) {
    let contenders = bare::Contenders::start(server).await;
    for name in BENCHMARKS.into_iter().filter(|name| is_wanted(&BENCHMARKS, name)) {
        match name {
            "get" => get::run(server, &contenders).await,
            "list_connections" => list_connections::run(server, &contenders).await,
            "create_connection" => create_connection::run(server, &contenders).await,
            "update_export" => update_export::run(server, &contenders).await,
            "create" => create::run(server, &contenders).await,
            "stream" => stream::run(server, &contenders).await,
            "list" => list::run(server).await,
            _ => schedule::run(server).await,
        }
    }
}

/// Whether to run something: `cargo bench --bench limits -- postgres get service` runs only what the arguments name.
/// Without an argument of this kind, all of the kind are run.
fn is_wanted(kind: &[&str], name: &str) -> bool {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| kind.contains(&argument.as_str())).collect();
    named.is_empty() || named.iter().any(|argument| argument == name)
}
