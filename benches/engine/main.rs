//! Compares the engine with the COPY of DuckDB: the same query over the same Parquet file, to a file on the local disk, on
//! as many threads, in turn, in one run.
//!
//! Then compares exports to servers on this machine, SFTP and S3, with what `sftp` and boto3 take to copy the finished file.
//!
//! `cargo bench --bench engine` prints rows per second, the median of all rounds and of their ratios, and the peak memory of
//! each. DuckDB and boto3 run in Python; `tests/install.sh` installs DuckDB, the SSH server and the S3 server, and
//! `BENCH_PYTHON` names another Python that has both. Append `-- CSV SFTP` to run only the named comparisons.
//! `BENCH_ROUNDS` is 5, `BENCH_ROWS` 5,000,000 and `BENCH_THREADS` the number of cores unless set.

#![expect(clippy::print_stdout, reason = "the figures are the output of a benchmark")]
#![expect(clippy::expect_used, reason = "a panic fails the benchmark")]

mod cpu_time;
mod duckdb;
mod export;
mod servers;
mod table;
mod transfer;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use outflow::delivery::destinations::Destination;

use servers::Server;
use transfer::Client;

/// A format to compare: its name, the settings of the engine, and the options of COPY.
struct Contest {
    name: &'static str,
    settings: &'static str,
    copy: &'static str,
}

const CONTESTS: [Contest; 5] = [
    Contest { name: "CSV", settings: r#"{"compression": "none"}"#, copy: "FORMAT csv, HEADER" },
    Contest { name: "CSV, zstd", settings: r#"{"compression": "zstd"}"#, copy: "FORMAT csv, HEADER, COMPRESSION zstd" },
    Contest { name: "JSON Lines", settings: r#"{"file_format": "jsonl", "compression": "none"}"#, copy: "FORMAT json" },
    Contest {
        name: "Parquet, snappy",
        settings: r#"{"file_format": "parquet", "parquet_compression": "snappy"}"#,
        copy: "FORMAT parquet, COMPRESSION snappy",
    },
    Contest {
        name: "Parquet, zstd",
        settings: r#"{"file_format": "parquet", "parquet_compression": "zstd"}"#,
        copy: "FORMAT parquet, COMPRESSION zstd",
    },
];

/// Names the file that a process is to write the table to.
const TABLE: &str = "BENCH_TABLE";

fn main() {
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number in the environment"))
    };
    let (rounds, rows) = (number("BENCH_ROUNDS", 5), number("BENCH_ROWS", 5_000_000));
    if let Some(path) = std::env::var_os(TABLE) {
        return table::write(Path::new(&path), rows);
    }
    let threads = number("BENCH_THREADS", std::thread::available_parallelism().map_or(1, usize::from));
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let source = directory.path().join("source.parquet");
    // In a process of its own, so that the peak memory of this one is that of exports.
    let this = std::env::current_exe().expect("the path of the benchmark");
    let written = Command::new(this).env(TABLE, &source).status().expect("the benchmark starts again");
    assert!(written.success(), "the table is written");
    println!("{rows} rows, {threads} threads, {rounds} rounds");
    let mut duckdb = duckdb::Session::start(&source, threads);
    for contest in CONTESTS.iter().filter(|contest| named.is_empty() || named.iter().any(|name| contest.name == name)) {
        compare(contest, &mut duckdb, &source, directory.path(), (rounds, rows, threads));
    }
    let is_named = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    let finished = directory.path().join("finished.csv");
    if is_named("SFTP") || is_named("S3") {
        export::run(&source, transfer::SETTINGS, &finished, threads);
    }
    if is_named("SFTP") {
        let server = Server::openssh();
        let destination = server.sftp();
        transfer("SFTP", (&server, destination.as_ref(), Client::Sftp), &source, &finished, (rounds, rows, threads));
    }
    if is_named("S3") {
        let server = Server::versitygw();
        let client = Client::boto3(&server, &finished);
        let destination = server.s3();
        transfer("S3", (&server, destination.as_ref(), client), &source, &finished, (rounds, rows, threads));
    }
    let previews = (0..9).map(|_| export::preview(&source, CONTESTS[0].settings).as_secs_f64() * 1_000.0);
    println!("preview: {:.1} ms", median(previews.collect()));
    println!("peak memory: engine {} MiB, DuckDB {} MiB", export::peak_mib(), duckdb.peak_mib());
}

fn compare(
    contest: &Contest,
    duckdb: &mut duckdb::Session,
    source: &Path,
    directory: &Path,
    (rounds, rows, threads): (usize, usize, usize),
) {
    let (mut ours, mut theirs, mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let target = directory.join("target");
    // One round more, to warm up.
    for round in 0..=rounds {
        let engine = export::run(source, contest.settings, &target, threads);
        let other = duckdb.copy(contest.copy, &target);
        if round > 0 {
            ours.push(per_second(rows, engine.elapsed));
            theirs.push(per_second(rows, other.elapsed));
            ratios.push(other.elapsed.as_secs_f64() / engine.elapsed.as_secs_f64());
            cpu_ratios.push(other.cpu.as_secs_f64() / engine.cpu.as_secs_f64());
        }
    }
    let (ours, theirs, ratio, cpu_ratio) = (median(ours), median(theirs), median(ratios), median(cpu_ratios));
    println!(
        "{:16} engine {ours:>10.0} rows/s, DuckDB {theirs:>10.0} rows/s, ratio {ratio:.2}; of CPU time {cpu_ratio:.2}",
        contest.name
    );
}

fn transfer(
    name: &str,
    (server, destination, mut client): (&Server, &dyn Destination, Client),
    source: &Path,
    finished: &Path,
    (rounds, rows, threads): (usize, usize, usize),
) {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // One round more, to warm up.
    for round in 0..=rounds {
        server.clear();
        let export = transfer::export(source, destination, threads);
        server.clear();
        let copy = client.copy(server, finished);
        if round > 0 {
            ours.push(per_second(rows, export));
            theirs.push(per_second(rows, copy));
            ratios.push(copy.as_secs_f64() / export.as_secs_f64());
        }
    }
    let (ours, theirs, ratio) = (median(ours), median(theirs), median(ratios));
    println!("{name:16} export {ours:>10.0} rows/s, copy of the file {theirs:>10.0} rows/s, ratio {ratio:.2}");
}

#[expect(clippy::cast_precision_loss, reason = "fewer rows than 2^53")]
fn per_second(rows: usize, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
