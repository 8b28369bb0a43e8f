//! The Arrow types that the engine works with, and the conversion of others to them.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};

use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// The zone of timestamps. Timestamps without a zone are read as UTC.
const UTC: &str = "+00:00";

/// The type to which values of a type are converted without loss; `None` if they cannot be exported.
pub fn canonical(data_type: &DataType) -> Option<DataType> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, Dictionary,
        FixedSizeBinary, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeUtf8, Time32, Time64,
        Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
    };
    Some(match data_type {
        Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float64 | Decimal128(..)
        | Decimal256(..) => data_type.clone(),
        Float16 | Float32 => Float32,
        Decimal32(precision, scale) | Decimal64(precision, scale) => Decimal128(*precision, *scale),
        Utf8 | LargeUtf8 | Utf8View => Utf8,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Binary,
        Date32 | Date64 => Date32,
        Time32(_) => Time32(TimeUnit::Millisecond),
        Time64(unit) => Time64(*unit),
        Timestamp(TimeUnit::Second, _) => Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
        Timestamp(unit, _) => Timestamp(*unit, Some(UTC.into())),
        Dictionary(_, values) => return canonical(values),
        DataType::Null
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::List(_)
        | DataType::ListView(_)
        | DataType::FixedSizeList(..)
        | DataType::LargeList(_)
        | DataType::LargeListView(_)
        | DataType::Struct(_)
        | DataType::Union(..)
        | DataType::Map(..)
        | DataType::RunEndEncoded(..) => return None,
    })
}

/// Converts values to a canonical type. VALUE_NOT_ENCODABLE if one does not fit: a conversion never makes it null.
pub fn convert(name: &str, array: &ArrayRef, to: &DataType) -> Result<ArrayRef, DeliveryError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    if let (DataType::Timestamp(from, _), DataType::Timestamp(unit, _)) = (array.data_type(), to)
        && from == unit
    {
        return Ok(with_utc(array, *unit));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    // The cause may quote a value, so it is not repeated.
    let failed =
        |_| DeliveryError::new(FailureCode::ValueNotEncodable, format!("field `{name}`: a value exceeds {to}"));
    let DataType::Timestamp(unit, _) = to else { return cast_with_options(array, to, &options).map_err(failed) };
    let cast_from = |array: &ArrayRef, to| cast_with_options(array, &to, &options);
    // The zone is left out, because names of zones cannot be converted without their rules.
    let from = if let DataType::Timestamp(from, _) = array.data_type() { *from } else { *unit };
    let instants = cast_from(array, DataType::Int64)
        .and_then(|values| cast_from(&values, DataType::Timestamp(from, None)))
        .and_then(|instants| cast_from(&instants, DataType::Timestamp(*unit, None)))
        .map_err(failed)?;
    Ok(with_utc(&instants, *unit))
}

/// The same instants, with the zone UTC.
fn with_utc(array: &ArrayRef, unit: TimeUnit) -> ArrayRef {
    match unit {
        TimeUnit::Nanosecond => Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone(UTC)),
        TimeUnit::Microsecond => Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone(UTC)),
        TimeUnit::Millisecond | TimeUnit::Second => {
            Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone(UTC))
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date64Array, Decimal64Array, DictionaryArray, Float16Array, LargeStringArray, StringViewArray,
        Time32SecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::Int8Type;

    use super::*;

    #[test]
    fn arrays_of_related_types_are_converted() {
        let dictionary: DictionaryArray<Int8Type> = [Some("a"), None, Some("a")].into_iter().collect();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(dictionary),
            Arc::new(LargeStringArray::from(vec!["a"])),
            Arc::new(StringViewArray::from(vec!["a"])),
            Arc::new(Date64Array::from(vec![86_400_000])),
            Arc::new(Decimal64Array::from(vec![125]).with_precision_and_scale(5, 2).unwrap()),
            Arc::new(Float16Array::from(vec![None])),
            Arc::new(Time32SecondArray::from(vec![1])),
            Arc::new(TimestampSecondArray::from(vec![1]).with_timezone("Europe/Berlin")),
            Arc::new(TimestampSecondArray::from(vec![1])),
        ];
        for array in arrays {
            let to = canonical(array.data_type()).unwrap();
            let converted = convert("f", &array, &to).unwrap();
            assert_eq!(converted.data_type(), &to);
            assert_eq!((converted.len(), converted.null_count()), (array.len(), array.null_count()));
        }
    }

    #[test]
    fn values_that_do_not_fit_are_errors() {
        let array: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
        let to = canonical(array.data_type()).unwrap();
        assert_eq!(convert("f", &array, &to).unwrap_err().code, FailureCode::ValueNotEncodable);
    }
}
