//! The type of a field, by its Arrow type, and the Arrow type that values of a declared type are read as.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Schema, TimeUnit};

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

/// The Arrow type to which values of two types are converted without loss, such as those of one field in two files; `None` if
/// there is none.
pub fn common_type(left: &DataType, right: &DataType) -> Option<DataType> {
    if left == right {
        return Some(left.clone());
    }
    let common = field_type(left);
    match common {
        _ if common != field_type(right) => None,
        FieldType::Unsupported => None,
        FieldType::Integer => common_integer(left, right),
        // The text of a number of 32 bits is another one with 64 bits: 0.1 becomes 0.10000000149011612.
        FieldType::Double if *left == DataType::Float64 || *right == DataType::Float64 => None,
        FieldType::Double => Some(DataType::Float32),
        FieldType::Decimal { precision, scale } if precision > DECIMAL128_MAX_PRECISION => {
            Some(DataType::Decimal256(precision, scale))
        }
        FieldType::Time => Some(DataType::Time64(finest(left, right))),
        FieldType::Timestamp => Some(DataType::Timestamp(finest(left, right), Some(Arc::from(UTC)))),
        FieldType::Boolean | FieldType::Decimal { .. } | FieldType::String | FieldType::Bytes | FieldType::Date => {
            Some(arrow_type(common))
        }
    }
}

/// Of two types of integers that differ.
fn common_integer(left: &DataType, right: &DataType) -> Option<DataType> {
    const UNSIGNED: [DataType; 4] = [DataType::UInt8, DataType::UInt16, DataType::UInt32, DataType::UInt64];
    let width = |data_type| UNSIGNED.iter().position(|unsigned| unsigned == data_type);
    match (width(left), width(right)) {
        (Some(left), Some(right)) => Some(UNSIGNED[left.max(right)].clone()),
        _ if *left == DataType::UInt64 || *right == DataType::UInt64 => None,
        _ => Some(DataType::Int64),
    }
}

/// The finer of the units of two types of times, and microseconds at least, which every length of time fits.
fn finest(left: &DataType, right: &DataType) -> TimeUnit {
    let is_nanoseconds = |data_type: &DataType| {
        matches!(data_type, DataType::Time64(TimeUnit::Nanosecond) | DataType::Timestamp(TimeUnit::Nanosecond, _))
    };
    if is_nanoseconds(left) || is_nanoseconds(right) { TimeUnit::Nanosecond } else { TimeUnit::Microsecond }
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
    fn values_of_a_field_that_has_several_types_are_converted_without_loss() {
        use DataType::{
            Date32, Decimal32, Decimal64, Decimal128, Float32, Float64, Int16, Int32, Int64, UInt8, UInt16,
        };
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let timestamp = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Arc::from));
        for (left, right, expected) in [
            (Int32, Int64, Some(Int64)),
            (Int32, Int32, Some(Int32)),
            (Int16, UInt8, Some(Int64)),
            (UInt8, UInt16, Some(UInt16)),
            (Int64, DataType::UInt64, None),
            (Int64, Float64, None),
            (DataType::Float16, Float32, Some(Float32)),
            (Float32, Float64, None),
            (Decimal32(9, 2), Decimal64(9, 2), Some(Decimal128(9, 2))),
            (Decimal128(9, 2), Decimal128(9, 3), None),
            (DataType::Utf8View, DataType::LargeUtf8, Some(DataType::Utf8)),
            (Date32, DataType::Date64, Some(Date32)),
            (DataType::Time32(Second), DataType::Time64(Nanosecond), Some(DataType::Time64(Nanosecond))),
            (timestamp(Second, None), timestamp(Millisecond, None), Some(timestamp(Microsecond, Some(UTC)))),
            (timestamp(Microsecond, Some(UTC)), timestamp(Nanosecond, None), Some(timestamp(Nanosecond, Some(UTC)))),
            (DataType::Null, DataType::Utf8, None),
        ] {
            assert_eq!(common_type(&left, &right), expected, "{left} {right}");
            assert_eq!(common_type(&right, &left), expected, "{right} {left}");
        }
    }

    #[test]
    fn the_common_type_does_not_depend_on_the_order_of_files() {
        use DataType::{Float16, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
        let times = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let times = times.map(|unit| DataType::Timestamp(unit, None));
        let numbers = [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float16, Float32, Float64];
        let all: Vec<DataType> = numbers.into_iter().chain(times).collect();
        let fold = |types: [&DataType; 3]| {
            let start = Some(types[0].clone());
            types.iter().skip(1).fold(start, |common, next| common_type(&common?, next))
        };
        for first in &all {
            for second in &all {
                for third in &all {
                    let found = fold([first, second, third]);
                    assert_eq!(fold([second, third, first]), found, "{first} {second} {third}");
                    assert_eq!(fold([third, first, second]), found, "{first} {second} {third}");
                }
            }
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
