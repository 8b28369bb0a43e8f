//! The type of a field, by its Arrow type, and the Arrow type that values of a declared type are read as.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, TimeUnit};

use crate::model::{DatasetField, FieldType, is_dataset_name};

/// UTC as an offset: Arrow knows names of time zones only with another database of them.
pub const UTC: &str = "+00:00";

/// The type of the values of an Arrow column.
pub fn field_type(data_type: &DataType) -> FieldType {
    match data_type {
        DataType::Boolean => FieldType::Boolean,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => FieldType::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => FieldType::Double,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => FieldType::Decimal { precision: *precision, scale: *scale },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => FieldType::String,
        DataType::Dictionary(_, values) => {
            Some(field_type(values)).filter(|values| *values == FieldType::String).unwrap_or(FieldType::Unsupported)
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            FieldType::Bytes
        }
        DataType::Date32 | DataType::Date64 => FieldType::Date,
        DataType::Time32(_) | DataType::Time64(_) => FieldType::Time,
        DataType::Timestamp(_, _) => FieldType::Timestamp,
        DataType::Null
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(_, _)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Union(_, _)
        | DataType::Map(_, _)
        | DataType::RunEndEncoded(_, _) => FieldType::Unsupported,
    }
}

/// The Arrow type that values of a declared type are read as, from text or from PostgreSQL. A field that cannot be
/// exported is never read.
pub fn arrow_type(field_type: FieldType) -> DataType {
    match field_type {
        FieldType::Boolean => DataType::Boolean,
        FieldType::Integer => DataType::Int64,
        FieldType::Double => DataType::Float64,
        FieldType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        FieldType::String => DataType::Utf8,
        FieldType::Bytes => DataType::Binary,
        FieldType::Date => DataType::Date32,
        FieldType::Time => DataType::Time64(TimeUnit::Microsecond),
        FieldType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from(UTC))),
        FieldType::Unsupported => DataType::Null,
    }
}

/// The fields of a schema that a payload can name.
pub fn fields(schema: &Schema) -> Vec<DatasetField> {
    let named = schema.fields().iter().filter(|field| is_dataset_name(field.name()));
    named.map(|field| DatasetField { name: field.name().clone(), field_type: field_type(field.data_type()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_read_as_they_are_declared() {
        for declared in [
            FieldType::Boolean,
            FieldType::Integer,
            FieldType::Double,
            FieldType::Decimal { precision: 12, scale: 2 },
            FieldType::String,
            FieldType::Bytes,
            FieldType::Date,
            FieldType::Time,
            FieldType::Timestamp,
            FieldType::Unsupported,
        ] {
            assert_eq!(field_type(&arrow_type(declared)), declared);
        }
    }

    #[test]
    fn dictionaries_of_texts_are_texts_and_nested_types_are_unsupported() {
        let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
        assert_eq!(field_type(&dictionary(DataType::Utf8)), FieldType::String);
        assert_eq!(field_type(&dictionary(DataType::Int64)), FieldType::Unsupported);
        let item = Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8, true));
        assert_eq!(field_type(&DataType::List(item)), FieldType::Unsupported);
        assert_eq!(field_type(&DataType::UInt64), FieldType::Integer);
        assert_eq!(field_type(&DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into()))), FieldType::Timestamp);
    }
}
