//! DuckDB, in a Python process that stays for the whole run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::export::{FIELDS, Times};
use crate::servers::tool;

const SCRIPT: &str = r#"
import duckdb, resource, sys, time
connection = duckdb.connect()
connection.execute(f"SET threads = {sys.argv[1]}")
connection.execute("SET TimeZone = 'UTC'")
connection.execute("SET enable_progress_bar = false")
for line in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    connection.execute(line)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(int(elapsed * 1e6), int(cpu * 1e6), peak, flush=True)
"#;

/// A session of DuckDB.
pub struct Session {
    process: Child,
    statements: ChildStdin,
    answers: BufReader<ChildStdout>,
    query: String,
    peak_mib: u64,
}

impl Session {
    /// Starts a session on some threads.
    pub fn start(source: &Path, threads: usize) -> Self {
        let mut process = Command::new(python())
            .args(["-c", SCRIPT, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let statements = process.stdin.take().expect("stdin");
        let answers = BufReader::new(process.stdout.take().expect("stdout"));
        let column = |(name, _, is_hashed): &(&str, _, bool)| {
            if *is_hashed { format!("sha256({name}) AS {name}") } else { (*name).to_owned() }
        };
        let columns: Vec<String> = FIELDS.iter().map(column).collect();
        let query = format!("SELECT {} FROM '{}'", columns.join(", "), source.display());
        Self { process, statements, answers, query, peak_mib: 0 }
    }

    /// Copies the result of the query to a file. Returns the times that it takes.
    pub fn copy(&mut self, options: &str, target: &Path) -> Times {
        writeln!(self.statements, "COPY ({}) TO '{}' ({options})", self.query, target.display()).expect("a statement");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        let numbers: Vec<u64> = answer.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        let [elapsed, cpu, peak] = numbers[..] else { panic!("DuckDB does not copy") };
        self.peak_mib = peak;
        Times { elapsed: Duration::from_micros(elapsed), cpu: Duration::from_micros(cpu) }
    }

    /// Peak of its resident memory.
    pub fn peak_mib(&self) -> u64 {
        self.peak_mib
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Python that has DuckDB and boto3.
pub fn python() -> PathBuf {
    std::env::var_os("BENCH_PYTHON").map_or_else(|| tool("venv/bin/python"), PathBuf::from)
}
