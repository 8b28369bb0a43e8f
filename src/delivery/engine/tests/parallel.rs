//! The output does not depend on the number of threads, nor on how they take turns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::support::{self, MadeFile, Tables, all_fields, collect, job, run, settings};
use crate::delivery::datasets::{PinnedTable, TableContent};
use crate::delivery::engine::{Engine, Progress};
use crate::model::{Comparison, PayloadFilter, PayloadTable};

/// Rows with texts of different lengths.
pub fn rows(first: i64, count: i64, seed: u64) -> RecordBatch {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let text = |length: usize| "äb,c\"d\n".chars().cycle().take(length).collect::<String>();
    let texts = (0..count).map(|_| (random.random_range(0..9) > 0).then(|| text(random.random_range(0..30))));
    let texts = StringArray::from_iter(texts.collect::<Vec<_>>());
    let prices = Decimal128Array::from_iter_values((0..count).map(|row| i128::from(row * 7)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(first..first + count))),
        ("text", Arc::new(texts)),
        ("price", Arc::new(prices.with_precision_and_scale(12, 2).unwrap())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn table(tables: &Tables) -> PinnedTable {
    let batches: Vec<RecordBatch> = (0..9).map(|index| rows(index * 10_000, 10_000, 3)).collect();
    // Several units from one row group, and small row groups that are joined.
    tables.parquet("t", &batches, 40_000)
}

fn payload(is_filtered: bool) -> PayloadTable {
    let filter = |comparison, value: Value| PayloadFilter { field: "id".to_owned(), comparison, values: vec![value] };
    let filters = if is_filtered { vec![filter(Comparison::GreaterOrEqual, json!(1_234))] } else { Vec::new() };
    PayloadTable { filters, ..all_fields("t") }
}

#[test]
fn any_number_of_threads_makes_the_same_files() {
    let tables = Tables::new();
    for (encoding, is_filtered) in [
        (json!({"compression": "none"}), false),
        (json!({"compression": "zstd"}), true),
        (json!({"compression": "gzip", "file_format": "jsonl"}), false),
        (json!({"compression": "zstd", "max_rows_per_file": 12_345, "max_bytes_per_file": 400_000}), true),
        (json!({"file_format": "parquet", "parquet_compression": "snappy"}), true),
        (json!({"file_format": "parquet", "max_rows_per_file": 20_000, "max_bytes_per_file": 500_000}), false),
    ] {
        let make = |threads| -> Vec<MadeFile> {
            let tables = vec![(payload(is_filtered), table(&tables))];
            run(job(tables, settings(&encoding)).unwrap(), threads).unwrap()
        };
        let expected = make(1);
        let count: u64 = expected.iter().map(|file| file.summary.rows).sum();
        assert_eq!(count, if is_filtered { 90_000 - 1_234 } else { 90_000 });
        for threads in [2, 3, 7] {
            assert!(make(threads) == expected, "{encoding} with {threads} threads");
        }
    }
}

#[test]
fn jobs_share_the_threads_and_the_memory() {
    let tables = Tables::new();
    let encoding = json!({"compression": "none"});
    let PinnedTable { schema, content: TableContent::Parquet(files), .. } = table(&tables) else { panic!("no files") };
    let pinned = || support::table("t", &schema, TableContent::Parquet(files.clone()));
    let make = || job(vec![(payload(false), pinned())], settings(&encoding)).unwrap();
    let expected = run(make(), 1).unwrap();
    // Memory for two workers, which four jobs share.
    let engine = Engine::new(2, 48 << 20);
    let start = async || {
        let workers = engine.reserve_run().await.unwrap();
        engine.start(make(), workers, Arc::new(Progress::default()), CancellationToken::new())
    };
    Runtime::new().unwrap().block_on(async {
        // The consumer of the first job reads nothing until the second one is complete.
        let (first, second) = (start().await, start().await);
        assert!(collect(second).await.unwrap() == expected);
        let third = start().await;
        assert!(collect(first).await.unwrap() == expected);
        let fourth = start().await;
        assert!(collect(third).await.unwrap() == expected);
        assert!(collect(fourth).await.unwrap() == expected);
    });
}
