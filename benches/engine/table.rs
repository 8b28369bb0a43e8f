//! The table that is exported: customers, in 12 columns.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const BATCH_ROWS: usize = 100_000;
const GROUP_ROWS: usize = 1_000_000;
const SEGMENTS: [&str; 4] = ["retail", "wholesale", "partner", "public sector"];
const COUNTRIES: [&str; 8] =
    ["Germany", "France", "Côte d'Ivoire", "Bolivia, Plurinational State of", "Japan", "Italy", "Spain", "Chile"];

/// Writes the table: Snappy, row groups of a million rows.
pub fn write(path: &Path, rows: usize) {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let file = File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch(0, 1).schema(), Some(properties)).expect("a writer");
    for first in (0..rows).step_by(BATCH_ROWS) {
        writer.write(&batch(first, BATCH_ROWS.min(rows - first))).expect("a batch is written");
    }
    writer.close().expect("the file is complete");
}

/// Rows of the table, the same on every call.
pub fn batch(first: usize, count: usize) -> RecordBatch {
    let mut random = StdRng::seed_from_u64(first as u64);
    let ids: Vec<i64> = (first..first + count).map(|id| i64::try_from(id).expect("a small number")).collect();
    let mut words = |suffix: &str| -> StringArray {
        let word = || format!("{}{suffix}", random.random_range(0..10_000_000));
        std::iter::repeat_with(word).take(count).map(Some).collect()
    };
    let (emails, names, notes) = (words("@example.org"), words(" Smith"), words(" said \"call back, please\""));
    let segments: Vec<&str> = (0..count).map(|_| SEGMENTS[random.random_range(0..SEGMENTS.len())]).collect();
    let countries: Vec<&str> = (0..count).map(|_| COUNTRIES[random.random_range(0..COUNTRIES.len())]).collect();
    let values = (0..count).map(|_| (random.random_range(0..20) > 0).then(|| random.random_range(0..10_000_000_i128)));
    let values = Decimal128Array::from_iter(values.collect::<Vec<_>>()).with_precision_and_scale(12, 2);
    let scores: Vec<f64> = (0..count).map(|_| f64::from(random.random_range(0..1_000_000)) / 1_000.0).collect();
    let flags: Vec<bool> = (0..count).map(|_| random.random()).collect();
    let days: Vec<i32> = (0..count).map(|_| random.random_range(15_000..20_700)).collect();
    let times: Vec<i64> =
        (0..count).map(|_| random.random_range(1_600_000_000_000_000..1_790_000_000_000_000)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(ids.clone()))),
        ("account", Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| id % 70_001)))),
        ("email", Arc::new(emails)),
        ("name", Arc::new(names)),
        ("segment", Arc::new(StringArray::from(segments))),
        ("country", Arc::new(StringArray::from(countries))),
        ("lifetime_value", Arc::new(values.expect("a decimal type"))),
        ("score", Arc::new(Float64Array::from(scores))),
        ("consent", Arc::new(BooleanArray::from(flags))),
        ("signup_date", Arc::new(Date32Array::from(days))),
        ("updated_at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ("note", Arc::new(notes)),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}
