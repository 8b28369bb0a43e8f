//! Requests about datasets, and datasets as messages.

use super::lists::{DATASET_KEYS, List, Paging};
use super::validator::RequestValidator;
use super::values::time_to_proto;
use crate::grpc::proto as pb;
use crate::model::{Dataset, DatasetField, DatasetName, FieldType};

/// Converts a request of ListDatasets. The filter is the text to search for.
pub fn list_datasets(
    validator: &mut RequestValidator<'_>,
    request: &pb::ListDatasetsRequest,
) -> Option<List<Option<String>>> {
    validator.deny_foreign_names([request.parent.as_str()]);
    validator.parent(&request.parent);
    let search = validator.search(&request.search);
    let paging = Paging { page_size: request.page_size, page_token: &request.page_token, order_by: "" };
    List::parse(validator, &paging, &DATASET_KEYS, search, &[&request.search])
}

/// Converts a request of GetDataset.
pub fn get_dataset(validator: &mut RequestValidator<'_>, request: &pb::GetDatasetRequest) -> Option<DatasetName> {
    validator.deny_foreign_names([request.name.as_str()]);
    validator.dataset("name", &request.name)
}

/// A dataset.
pub fn to_proto(dataset: Dataset) -> pb::Dataset {
    let count = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    pb::Dataset {
        name: dataset.name().to_string(),
        table: dataset.table,
        fields: dataset.fields.into_iter().map(field_to_proto).collect(),
        estimated_rows: count(dataset.estimated_rows),
        estimated_bytes: count(dataset.estimated_bytes),
        update_time: dataset.update_time.map(time_to_proto),
    }
}

fn field_to_proto(field: DatasetField) -> pb::DatasetField {
    use pb::dataset_field::FieldType as Wire;
    let (field_type, precision, scale) = match field.field_type {
        FieldType::Boolean => (Wire::Boolean, 0, 0),
        FieldType::Integer => (Wire::Integer, 0, 0),
        FieldType::Double => (Wire::Double, 0, 0),
        FieldType::Decimal { precision, scale } => (Wire::Decimal, i32::from(precision), i32::from(scale)),
        FieldType::String => (Wire::String, 0, 0),
        FieldType::Bytes => (Wire::Bytes, 0, 0),
        FieldType::Date => (Wire::Date, 0, 0),
        FieldType::Time => (Wire::Time, 0, 0),
        FieldType::Timestamp => (Wire::Timestamp, 0, 0),
        FieldType::Unsupported => (Wire::Unsupported, 0, 0),
    };
    pb::DatasetField { name: field.name, field_type: field_type.into(), precision, scale }
}
