//! Sources other than one Parquet file.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;

use super::parallel::rows;
use super::support::{Tables, all_fields, all_types, field, job, run, run_counted, settings, table, write_parquet};
use crate::delivery::DeliveryError;
use crate::delivery::datasets::{PinnedTable, RowSource, SourceFile, TableContent};
use crate::model::{Comparison, FailureCode, PayloadFilter, PayloadTable, Transform};

const PLAIN: &str = r#"{"compression": "none", "line_ending": "lf"}"#;

fn export(payload: PayloadTable, table: PinnedTable) -> Result<String, DeliveryError> {
    let encoding = settings(&serde_json::from_str(PLAIN).unwrap());
    Ok(run(job(vec![(payload, table)], encoding)?, 2)?[0].text())
}

#[test]
fn text_files_of_every_type_are_read_back() {
    let tables = Tables::new();
    // Text formats do not distinguish the empty text from null when they are read.
    let batch = all_types().slice(0, 3);
    for format in ["csv", "jsonl"] {
        let source = tables.parquet("t", std::slice::from_ref(&batch), 10);
        let encoding = json!({"compression": "none", "file_format": format});
        let made = run(job(vec![(all_fields("t"), source)], settings(&encoding)).unwrap(), 1).unwrap();
        let file = tables.file("made", ["\u{feff}".as_bytes(), &made[0].bytes].concat());
        let content = match format {
            "csv" => TableContent::Csv(vec![file]),
            _ => TableContent::JsonLines(vec![file]),
        };
        let again = job(vec![(all_fields("t"), table("t", &batch.schema(), content))], settings(&encoding)).unwrap();
        let (again, progress) = run_counted(again, 2).unwrap();
        assert_eq!(again[0].text(), made[0].text());
        assert_eq!(progress.rows_read.load(Relaxed), 3);
    }
}

#[test]
fn csv_columns_are_found_by_name() {
    let tables = Tables::new();
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]));
    let files =
        vec![tables.file("1.csv", "name,unknown,id\nAda,x,1\n\"B,ob\",y,2\n"), tables.file("2.csv", "id,name\n3,\n")];
    let content = |files| table("t", &schema, TableContent::Csv(files));
    let is_odd = PayloadFilter { field: "id".to_owned(), comparison: Comparison::In, values: vec![json!(1), json!(3)] };
    let payload =
        PayloadTable { fields: vec![field("name", "Name", Transform::None)], filters: vec![is_odd], ..all_fields("t") };
    assert_eq!(export(payload.clone(), content(files)).unwrap(), "Name\nAda\n\n");
    let missing = content(vec![tables.file("3.csv", "name\nAda\n")]);
    let error = export(payload.clone(), missing).unwrap_err();
    assert_eq!(error.code, FailureCode::FieldMissing);
    let malformed = content(vec![tables.file("4.csv", "id,name\nsecret,Ada\n")]);
    let error = export(payload, malformed).unwrap_err();
    assert_eq!(error.code, FailureCode::FieldTypeChanged);
    assert!(!error.detail.contains("secret"), "{}", error.detail);
}

#[test]
fn json_lines_may_lack_keys_and_have_numbers_for_texts() {
    let tables = Tables::new();
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]));
    let file = tables.file("t.jsonl", "{\"id\":1,\"more\":[1]}\n{\"name\":7}\n{\"id\":null,\"name\":\"x\"}");
    let text = export(all_fields("t"), table("t", &schema, TableContent::JsonLines(vec![file]))).unwrap();
    assert_eq!(text, "id,name\n1,\n,7\n,x\n");
    let malformed = tables.file("t.jsonl", "{\"id\":1}\n{\"id\":\"secret\"}\n{]");
    let error = export(all_fields("t"), table("t", &schema, TableContent::JsonLines(vec![malformed]))).unwrap_err();
    assert_eq!(error.code, FailureCode::FieldTypeChanged);
    assert!(!error.detail.contains("secret"), "{}", error.detail);
}

#[test]
fn parquet_files_of_a_table_may_lack_fields_and_order_them_differently() {
    let tables = Tables::new();
    let directory = tables.directory.path();
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["Ada", "Bob"]));
    let whole = RecordBatch::try_from_iter([("id", Arc::clone(&ids)), ("name", Arc::clone(&names))]).unwrap();
    let swapped = RecordBatch::try_from_iter([("name", names), ("more", Arc::clone(&ids)), ("id", ids)]).unwrap();
    let lacking = whole.project(&[0]).unwrap();
    let mut files = Vec::new();
    for (index, batch) in [&whole, &swapped, &lacking].into_iter().enumerate() {
        let path = directory.join(format!("{index}.parquet"));
        write_parquet(&path, std::slice::from_ref(batch), 10);
        files.push(SourceFile::open_local(path).unwrap());
    }
    let pinned = |files| table("t", &whole.schema(), TableContent::Parquet(files));
    let text = export(all_fields("t"), pinned(files.clone())).unwrap();
    assert_eq!(text, "id,name\n1,Ada\n2,Bob\n1,Ada\n2,Bob\n1,\n2,\n");
    for (comparison, expected) in [(Comparison::IsNull, "id\n1\n2\n"), (Comparison::IsNotNull, "id\n1\n2\n1\n2\n")] {
        let filters = vec![PayloadFilter { field: "name".to_owned(), comparison, values: vec![] }];
        let payload = PayloadTable { fields: vec![field("id", "", Transform::None)], filters, ..all_fields("t") };
        assert_eq!(export(payload, pinned(files.clone())).unwrap(), expected);
    }
    let path = directory.join("other.parquet");
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    write_parquet(&path, &[RecordBatch::try_from_iter([("id", texts)]).unwrap()], 10);
    files.push(SourceFile::open_local(path).unwrap());
    let error = export(all_fields("t"), pinned(files)).unwrap_err();
    assert_eq!(error.code, FailureCode::FieldTypeChanged);
}

/// Batches, and then an error or the end.
struct Query {
    batches: std::vec::IntoIter<RecordBatch>,
    error: Option<DeliveryError>,
}

#[async_trait::async_trait]
impl RowSource for Query {
    async fn next(&mut self) -> Result<Option<RecordBatch>, DeliveryError> {
        match (self.batches.next(), self.error.take()) {
            (Some(batch), error) => {
                self.error = error;
                Ok(Some(batch))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}

#[test]
fn rows_of_a_query_are_exported_as_those_of_a_file() {
    let batches: Vec<RecordBatch> = (0..20).map(|index| rows(index * 4_000, 4_000, 8)).collect();
    let tables = Tables::new();
    let expected = export(all_fields("t"), tables.parquet("t", &batches, 50_000)).unwrap();
    let query = |error| {
        let source = Query { batches: batches.clone().into_iter(), error };
        table("t", &batches[0].schema(), TableContent::Rows(Box::new(source)))
    };
    assert!(export(all_fields("t"), query(None)).unwrap() == expected);
    let lost = DeliveryError::new(FailureCode::DatasetUnavailable, "connection lost");
    let error = export(all_fields("t"), query(Some(lost))).unwrap_err();
    assert_eq!((error.code, error.detail.as_str()), (FailureCode::DatasetUnavailable, "connection lost"));
}
