//! Sources other than one Parquet file.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow::array::{
    ArrayRef, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::json;

use super::parallel::rows;
use super::support::{Tables, all_fields, all_types, field, job, run, run_counted, settings, table, write_parquet};
use crate::delivery::DeliveryError;
use crate::delivery::datasets::{PinnedTable, RowSource, SourceFile, TableContent};
use crate::model::{Comparison, FailureCode, FieldType, PayloadField, PayloadFilter, PayloadTable, Transform};

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

#[test]
fn parquet_files_of_a_table_may_have_related_types() {
    let tables = Tables::new();
    let batches: [[(&str, ArrayRef); 3]; 2] = [
        [
            ("id", Arc::new(Int32Array::from(vec![1, 2]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![1_500, -1]))),
            ("score", cast(&Float32Array::from(vec![0.5, 1.5]), &DataType::Float16).unwrap()),
        ],
        [
            ("id", Arc::new(Int64Array::from(vec![3_000_000_000, 4]))),
            ("at", Arc::new(TimestampNanosecondArray::from(vec![1, 2_000_000_000]).with_timezone("+02:00"))),
            ("score", Arc::new(Float32Array::from(vec![0.1, 2.5]))),
        ],
    ];
    let mut files = Vec::new();
    for (index, columns) in batches.into_iter().enumerate() {
        let path = tables.directory.path().join(format!("{index}.parquet"));
        write_parquet(&path, &[RecordBatch::try_from_iter(columns).unwrap()], 10);
        files.push(SourceFile::open_local(path).unwrap());
    }
    // The common types of both files.
    let timestamp = DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
    let fields = [("id", DataType::Int64), ("at", timestamp), ("score", DataType::Float32)];
    let fields: Vec<Field> = fields.map(|(name, data_type)| Field::new(name, data_type, true)).into();
    let pinned = || table("t", &Arc::new(Schema::new(fields.clone())), TableContent::Parquet(files.clone()));
    let text = export(all_fields("t"), pinned()).unwrap();
    let expected = "id,at,score\n1,1970-01-01T00:00:01.500Z,0.5\n2,1969-12-31T23:59:59.999Z,1.5\n\
                    3000000000,1970-01-01T00:00:00.000000001Z,0.1\n4,1970-01-01T00:00:02Z,2.5\n";
    assert_eq!(text, expected);
    let late = PayloadFilter {
        field: "at".to_owned(),
        comparison: Comparison::Greater,
        values: vec![json!("1970-01-01T00:00:01Z")],
    };
    let payload =
        PayloadTable { fields: vec![field("id", "", Transform::None)], filters: vec![late], ..all_fields("t") };
    assert_eq!(export(payload, pinned()).unwrap(), "id\n1\n4\n");
}

#[test]
fn decimals_of_text_files_are_exact() {
    let tables = Tables::new();
    let schema = Arc::new(Schema::new(vec![Field::new("amount", DataType::Decimal128(5, 2), true)]));
    let csv = |content: &str| table("t", &schema, TableContent::Csv(vec![tables.file("t.csv", content)]));
    let json = |content: &str| table("t", &schema, TableContent::JsonLines(vec![tables.file("t.jsonl", content)]));
    let expected = "amount\n-0.50\n\n123.45\n";
    assert_eq!(export(all_fields("t"), csv("amount\n-.5\n\"\"\n1.23450e2\n")).unwrap(), expected);
    let lines = "{\"amount\":-0.5}\n{}\n{\"amount\":\"123.4500\"}\n";
    assert_eq!(export(all_fields("t"), json(lines)).unwrap(), expected);
    for (text, code) in [
        ("1.005", FailureCode::ValueNotEncodable),
        ("1000", FailureCode::ValueNotEncodable),
        ("twelve", FailureCode::FieldTypeChanged),
    ] {
        for source in [csv(&format!("amount\n{text}\n")), json(&format!("{{\"amount\":\"{text}\"}}"))] {
            let error = export(all_fields("t"), source).unwrap_err();
            assert_eq!(error.code, code, "{text}: {error}");
            assert!(error.detail.contains("amount") && !error.detail.contains(text), "{error}");
        }
    }
}

#[test]
fn a_field_with_another_type_than_at_the_save_is_not_exported() {
    let tables = Tables::new();
    let schema = Arc::new(Schema::new(vec![
        Field::new("amount", DataType::Utf8, true),
        Field::new("score", DataType::Float64, true),
    ]));
    let content = || table("t", &schema, TableContent::Csv(vec![tables.file("t.csv", "amount,score\n1,0.5\n")]));
    let saved = |field_type| PayloadField { field_type, ..field("amount", "", Transform::None) };
    let of = |field| PayloadTable { fields: vec![field], ..all_fields("t") };
    let decimal = FieldType::Decimal { precision: 9, scale: 2 };
    for same in [None, Some(FieldType::String)] {
        assert_eq!(export(of(saved(same)), content()).unwrap(), "amount\n1\n");
    }
    let hashed_double = field("score", "", Transform::Sha256);
    for changed in [saved(Some(decimal)), hashed_double] {
        assert_eq!(export(of(changed), content()).unwrap_err().code, FailureCode::FieldTypeChanged);
    }
}
