//! Previews: the first rows, as a run would encode them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use serde_json::json;

use super::parallel::rows;
use super::support::{Tables, all_fields, job, preview, run, run_counted, settings};
use crate::model::{Comparison, PayloadFilter, PayloadTable};

#[test]
fn a_preview_is_the_beginning_of_the_run() {
    let tables = Tables::new();
    let pinned = || tables.parquet("t", &[rows(0, 50_000, 6)], 1_000_000);
    for format in ["csv", "jsonl"] {
        let encoding = |compression: &str| settings(&json!({"compression": compression, "file_format": format}));
        let whole = run(job(vec![(all_fields("t"), pinned())], encoding("none")).unwrap(), 2).unwrap();
        let limited = preview(vec![(all_fields("t"), pinned())], encoding("zstd"), 20, 64 * 1024);
        let (shown, progress) = run_counted(limited, 2).unwrap();
        assert_eq!(shown.len(), 1);
        assert_eq!((shown[0].summary.rows, shown[0].file.path.as_str()), (20, format!("t.{format}.zst").as_str()));
        assert!(whole[0].text().starts_with(&shown[0].text()));
        assert!(progress.rows_read.load(Relaxed) <= 8_192, "a preview reads few rows");
    }
}

#[test]
fn a_preview_has_limits_of_rows_and_bytes() {
    let tables = Tables::new();
    let pinned = |name: &str| tables.parquet(name, &[rows(0, 1_000, 6)], 100);
    let tables = vec![(all_fields("a"), pinned("a")), (all_fields("b"), pinned("b"))];
    let limited = preview(tables, settings(&json!({"line_ending": "lf"})), 500, 5_000);
    let files = run(limited, 1).unwrap();
    assert_eq!(files.len(), 2, "each table has a file");
    let sizes: Vec<usize> = files.iter().map(|file| file.bytes.len()).collect();
    assert!(sizes[0] > 4_800 && sizes.iter().sum::<usize>() <= 5_000, "{sizes:?}");
    assert!(files[0].text().ends_with('\n'));
}

#[test]
fn parquet_is_shown_as_json_lines() {
    let tables = Tables::new();
    let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.5]));
    let table = tables.parquet("t", &[RecordBatch::try_from_iter([("score", values)]).unwrap()], 10);
    let encoding = settings(&json!({"file_format": "parquet", "max_rows_per_file": 1}));
    let files = run(preview(vec![(all_fields("t"), table)], encoding, 10, 1_000), 1).unwrap();
    let texts: Vec<String> = files.iter().map(super::support::MadeFile::text).collect();
    assert_eq!(texts, ["{\"score\":\"NaN\"}\n", "{\"score\":1.5}\n"]);
    assert!(files[1].file.path.ends_with("/t/part-00001.parquet"));
}

#[test]
fn a_preview_whose_filter_matches_nothing_ends_early() {
    let tables = Tables::new();
    let batches: Vec<RecordBatch> = (0..40).map(|index| rows(index * 10_000, 10_000, 6)).collect();
    let table = tables.parquet("t", &batches, 1_000_000);
    // The statistics do not exclude it.
    let filter = PayloadFilter { field: "text".into(), comparison: Comparison::Equals, values: vec![json!("ä!")] };
    let payload = PayloadTable { filters: vec![filter], ..all_fields("t") };
    let limited = preview(vec![(payload, table)], settings(&json!({})), 10, 1_000);
    let (files, progress) = run_counted(limited, 1).unwrap();
    assert_eq!((files.len(), files[0].summary.rows), (1, 0));
    let read = progress.rows_read.load(Relaxed);
    assert!((131_072..=140_000).contains(&read), "{read}");
}
