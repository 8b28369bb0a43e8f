//! Files with limits of rows and bytes.

use arrow::array::RecordBatch;
use serde_json::json;

use super::parallel::rows;
use super::support::{Tables, all_fields, job, layout, run, settings};
use crate::delivery::engine::job::Job;
use crate::model::FailureCode;

fn table_job(tables: &Tables, encoding: &serde_json::Value) -> Job {
    let batches: Vec<RecordBatch> = (0..3).map(|index| rows(index * 700, 700, 5)).collect();
    job(vec![(all_fields("t"), tables.parquet("t", &batches, 500))], settings(encoding)).unwrap()
}

#[test]
fn files_have_at_most_the_permitted_rows() {
    let tables = Tables::new();
    for format in ["csv", "jsonl", "parquet"] {
        let encoding = json!({"file_format": format, "max_rows_per_file": 1_000, "compression": "none"});
        let files = run(table_job(&tables, &encoding), 2).unwrap();
        let rows: Vec<u64> = files.iter().map(|file| file.summary.rows).collect();
        assert_eq!(rows, [1_000, 1_000, 100], "{format}");
        let directory = "weekly/20261124T060000Z-00000000-0000-0000-0000-000000000000";
        assert_eq!(files[2].file.path, format!("{directory}/t/part-00002.{format}"));
    }
    let exact = json!({"max_rows_per_file": 2_100});
    let files = run(table_job(&tables, &exact), 2).unwrap();
    assert_eq!(files.len(), 1, "no empty file follows a full one");
}

#[test]
fn files_have_at_most_the_permitted_bytes_and_break_between_rows() {
    let tables = Tables::new();
    let whole = run(table_job(&tables, &json!({"compression": "none"})), 1).unwrap();
    let (header, body) = whole[0].bytes.split_at("id,text,price\r\n".len());
    let limit = 10_000;
    let files = run(table_job(&tables, &json!({"compression": "none", "max_bytes_per_file": limit})), 3).unwrap();
    let mut joined = Vec::new();
    for file in &files {
        assert!(file.bytes.len() <= limit && file.bytes.starts_with(header));
        joined.extend_from_slice(&file.bytes[header.len()..]);
    }
    assert_eq!(joined, body);
    assert_eq!(files.len(), whole[0].bytes.len().div_ceil(limit), "files are full");
    let tiny = run(table_job(&tables, &json!({"compression": "none", "max_bytes_per_file": 1})), 2).unwrap();
    assert_eq!(tiny.len(), 2_100, "a file has one row at least");
}

#[test]
fn limits_count_bytes_before_compression() {
    let tables = Tables::new();
    let make = |compression: &str| {
        let encoding = json!({"compression": compression, "max_bytes_per_file": 20_000});
        run(table_job(&tables, &encoding), 2).unwrap().iter().map(|file| file.summary.rows).collect::<Vec<_>>()
    };
    let plain = make("none");
    assert!(plain.len() > 2);
    assert_eq!((&make("zstd"), &make("gzip")), (&plain, &plain));
}

#[test]
fn the_number_of_files_is_limited() {
    let tables = Tables::new();
    let batch = rows(0, 10_001, 5);
    let table = tables.parquet("t", &[batch], 20_000);
    let encoding = json!({"compression": "none", "max_rows_per_file": 1});
    let error = run(job(vec![(all_fields("t"), table)], settings(&encoding)).unwrap(), 2).unwrap_err();
    assert_eq!(error.code, FailureCode::LimitExceeded);
}

#[test]
fn several_tables_have_a_folder_each() {
    let tables = Tables::new();
    let pinned = |name: &str| tables.parquet(name, &[rows(0, 10, 1)], 10);
    let tables = vec![(all_fields("a"), pinned("a")), (all_fields("b/c"), pinned("bc"))];
    let job = job(tables, settings(&json!({}))).unwrap();
    let directory = "weekly/20261124T060000Z-00000000-0000-0000-0000-000000000000";
    let payload = [all_fields("a"), all_fields("b/c")];
    let path = Job::manifest_path(&payload, &settings(&json!({})), &layout());
    assert_eq!(path, format!("{directory}/_SUCCESS.json"));
    let mut manifest = job.manifest();
    let files = run(job, 2).unwrap();
    let paths: Vec<&str> = files.iter().map(|file| file.file.path.as_str()).collect();
    assert_eq!(paths, [format!("{directory}/a/part-00000.csv.zst"), format!("{directory}/bc/part-00000.csv.zst")]);
    for file in files {
        manifest.add_file(file.summary);
    }
    assert_eq!((manifest.rows, manifest.files.len(), manifest.fields.len()), (20, 2, 6));
    assert_eq!((manifest.time.as_str(), manifest.format.as_str()), ("2026-11-24T06:00:00Z", "csv"));
}

#[test]
fn one_table_without_limits_is_one_file_with_its_manifest_beside_it() {
    let tables = Tables::new();
    let job = table_job(&tables, &json!({"file_format": "parquet"}));
    let encoding = settings(&json!({"file_format": "parquet"}));
    assert_eq!(Job::manifest_path(&[all_fields("t")], &encoding, &layout()), "t.parquet.manifest.json");
    assert_eq!(run(job, 2).unwrap()[0].file.path, "t.parquet");
}
