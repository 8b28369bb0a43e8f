//! The memory of a job is bounded, whatever the size of tables and row groups. Each case runs in a process of its own.

#![expect(clippy::print_stdout, reason = "figures of a test")]

use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::support::{all_fields, job, settings, table};
use crate::delivery::Output;
use crate::delivery::datasets::{SourceFile, TableContent};
use crate::delivery::engine::{Engine, Progress};

/// Rows of the table, all in one row group: about 150 MB in memory.
const ROWS: i64 = 1_000_000;
const MAX_RESIDENT_KIB: u64 = 150 * 1024;
/// Names the settings in the process of a case, and the file.
const CASE: &str = "OUTFLOW_TEST_ENGINE_MEMORY";

fn batch(first: i64, count: i64) -> RecordBatch {
    let ids = Int64Array::from_iter_values(first..first + count);
    let names: Vec<String> = (first..first + count).map(|id| format!("customer number {id}")).collect();
    let mails: Vec<String> = (first..first + count).map(|id| format!("{}@example.org", id * 7_919)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(ids)),
        ("name", Arc::new(StringArray::from(names))),
        ("mail", Arc::new(StringArray::from(mails))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn memory_does_not_grow_with_row_groups() {
    if let Ok(case) = std::env::var(CASE) {
        return export(&case);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.parquet");
    let batches: Vec<RecordBatch> = (0..10).map(|index| batch(index * ROWS / 10, ROWS / 10)).collect();
    super::support::write_parquet(&path, &batches, usize::try_from(ROWS).unwrap());
    drop(batches);
    for encoding in [
        json!({"compression": "none"}),
        json!({"file_format": "parquet"}),
        json!({"compression": "none", "max_bytes_per_file": 30_000_000}),
    ] {
        let case = json!({"path": path, "settings": encoding}).to_string();
        let test = "delivery::engine::tests::memory::memory_does_not_grow_with_row_groups";
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CASE, &case)
            .status()
            .unwrap();
        assert!(status.success(), "{case}");
    }
}

/// Exports the file, and checks the peak of the resident memory of this process.
fn export(case: &str) {
    let case: serde_json::Value = serde_json::from_str(case).unwrap();
    let file = SourceFile::open_local(case["path"].as_str().unwrap().into()).unwrap();
    let pinned = table("t", &batch(0, 1).schema(), TableContent::Parquet(vec![file]));
    let job = job(vec![(all_fields("t"), pinned)], settings(&case["settings"])).unwrap();
    let engine = Engine::new(2, 256 << 20);
    let rows: u64 = Runtime::new().unwrap().block_on(async {
        let workers = engine.reserve_run().await.unwrap();
        let mut outputs = engine.start(job, workers, Arc::new(Progress::default()), CancellationToken::new());
        let mut rows = 0;
        while let Some(output) = outputs.recv().await {
            if let Output::Chunk(chunk) = output.unwrap() {
                rows += chunk.rows;
            }
        }
        rows
    });
    assert_eq!(rows, u64::try_from(ROWS).unwrap());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak: {} MiB", kib / 1024);
    assert!(kib <= MAX_RESIDENT_KIB, "the peak was {kib} KiB");
}
