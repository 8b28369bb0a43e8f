//! Parquet files are read back with the same values.

use arrow::array::{Array as _, ArrayRef, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use super::parallel::rows;
use super::support::{MadeFile, Tables, all_fields, all_types, field, job, run, settings};
use crate::delivery::engine::types::canonical;
use crate::model::{PayloadTable, Transform};

fn read(file: &MadeFile) -> (RecordBatch, Vec<i64>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file.bytes.clone())).unwrap();
    let groups =
        builder.metadata().row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).collect();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    (concat_batches(&schema, &batches).unwrap(), groups)
}

#[test]
fn values_of_every_type_survive() {
    let tables = Tables::new();
    for compression in ["none", "snappy", "zstd"] {
        let table = tables.parquet("t", &[all_types()], 3);
        let encoding = json!({"file_format": "parquet", "parquet_compression": compression});
        let files = run(job(vec![(all_fields("t"), table)], settings(&encoding)).unwrap(), 2).unwrap();
        let (found, groups) = read(&files[0]);
        assert_eq!(groups, [4], "row groups do not depend on those of the source");
        for (expected, field) in all_types().columns().iter().zip(found.schema().fields()) {
            let found = found.column_by_name(field.name()).unwrap();
            let types = (canonical(expected.data_type()).unwrap(), canonical(field.data_type()).unwrap());
            assert_eq!(types.0, types.1, "{}", field.name());
            let comparable = |array: &ArrayRef| {
                // Time zones and units are compared by the types.
                let is_time = array.data_type().is_temporal() && *array.data_type() != DataType::Date32;
                let to = if is_time { DataType::Int64 } else { canonical(array.data_type()).unwrap() };
                cast(array, &to)
            };
            assert_eq!(&comparable(expected).unwrap(), &comparable(found).unwrap(), "{}", field.name());
        }
        let DataType::Timestamp(_, zone) = found.column_by_name("created").unwrap().data_type().clone() else {
            panic!("not a timestamp");
        };
        assert_eq!(zone.as_deref(), Some("UTC"), "timestamps are instants");
    }
}

#[test]
fn empty_tables_have_their_schema() {
    let tables = Tables::new();
    let table = tables.parquet("t", &[all_types().slice(0, 0)], 3);
    let files = run(job(vec![(all_fields("t"), table)], settings(&json!({"file_format": "parquet"}))).unwrap(), 2);
    let (found, groups) = read(&files.unwrap()[0]);
    assert_eq!((found.num_rows(), found.num_columns(), groups.len()), (0, all_types().num_columns(), 0));
}

#[test]
fn row_groups_have_the_same_size_whatever_the_source_has() {
    let tables = Tables::new();
    let batches: Vec<RecordBatch> = (0..30).map(|index| rows(index * 10_000, 10_000, 4)).collect();
    let expected = concat_batches(&batches[0].schema(), &batches).unwrap();
    for group_rows in [7_000, 100_000, 1_000_000] {
        let table = tables.parquet("t", &batches, group_rows);
        let files = run(job(vec![(all_fields("t"), table)], settings(&json!({"file_format": "parquet"}))).unwrap(), 3);
        let (found, groups) = read(&files.unwrap()[0]);
        assert_eq!(groups, [131_072, 131_072, 37_856]);
        assert_eq!(found.columns(), expected.columns());
    }
}

#[test]
fn hashes_are_texts() {
    let tables = Tables::new();
    let payload = PayloadTable { fields: vec![field("id", "hash", Transform::Sha256)], ..all_fields("t") };
    let table = tables.parquet("t", &[rows(0, 10, 1)], 100);
    let files = run(job(vec![(payload, table)], settings(&json!({"file_format": "parquet"}))).unwrap(), 2).unwrap();
    let (found, _) = read(&files[0]);
    assert_eq!(found.schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(found.column(0).null_count(), 0);
}
