//! Columns of a batch, typed for access by row.

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int64Array, StringArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType as _, DataType, TimeUnit};
use arrow::error::ArrowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::text::{self, Unencodable};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// A column of a batch.
pub struct Column {
    /// The values; what stands at nulls has no meaning.
    pub values: Values,
    nulls: Option<NullBuffer>,
}

/// A column that is encoded as text.
pub struct TextColumn {
    /// The column.
    pub column: Column,
    /// Whether no text has a character that the format escapes or puts into quotes, so that they are not searched one by one.
    pub is_plain: bool,
}

impl TextColumn {
    /// A column of an array whose type is canonical. `are_plain` judges all texts, given one after the other.
    pub fn new(array: &ArrayRef, are_plain: impl FnOnce(&[u8]) -> bool) -> Result<Self, DeliveryError> {
        let column = Column::new(array)?;
        let is_plain = if let Values::Text(texts) = &column.values {
            let (start, end) = texts.value_offsets().first().zip(texts.value_offsets().last()).unwrap_or((&0, &0));
            are_plain(&texts.value_data()[start.as_usize()..end.as_usize()])
        } else {
            false
        };
        Ok(Self { column, is_plain })
    }
}

/// The values of a column.
pub enum Values {
    /// True or false.
    Boolean(BooleanArray),
    /// Signed integers.
    Signed(Int64Array),
    /// Unsigned integers.
    Unsigned(UInt64Array),
    /// 32-bit floating-point numbers.
    Float(Float32Array),
    /// 64-bit floating-point numbers.
    Double(Float64Array),
    /// Decimal numbers of up to 38 digits, and the digits after their point.
    Decimal(Decimal128Array, i8),
    /// Decimal numbers of up to 76 digits, and the digits after their point.
    WideDecimal(Decimal256Array, i8),
    /// Texts.
    Text(StringArray),
    /// Bytes.
    Bytes(BinaryArray),
    /// Days since 1970-01-01.
    Date(Date32Array),
    /// Units since midnight.
    Time(Int64Array, TimeUnit),
    /// Units since 1970-01-01T00:00:00Z.
    Timestamp(Int64Array, TimeUnit),
}

/// How text formats represent bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesText {
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
    /// Hexadecimal after `\x`, as PostgreSQL reads and writes bytea.
    Postgresql,
}

impl Column {
    /// A column of an array whose type is canonical.
    pub fn new(array: &ArrayRef) -> Result<Self, DeliveryError> {
        let fault = |cause: ArrowError| DeliveryError::with(FailureCode::Internal, "unexpected column", cause);
        Ok(Self { values: Values::new(array).map_err(fault)?, nulls: array.nulls().cloned() })
    }

    /// Whether the value of a row is null.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Which rows are null; `None`: no row is.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }
}

impl Values {
    #[expect(clippy::same_functions_in_if_condition, reason = "the types differ")]
    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        let data_type = array.data_type();
        let as_signed = |array: &ArrayRef| -> Result<Int64Array, ArrowError> {
            Ok(cast(array, &DataType::Int64)?.as_primitive().clone())
        };
        Ok(if let Some(values) = array.as_boolean_opt() {
            Self::Boolean(values.clone())
        } else if data_type.is_signed_integer() {
            Self::Signed(as_signed(array)?)
        } else if data_type.is_unsigned_integer() {
            Self::Unsigned(cast(array, &DataType::UInt64)?.as_primitive().clone())
        } else if let Some(values) = array.as_primitive_opt() {
            Self::Float(values.clone())
        } else if let Some(values) = array.as_primitive_opt() {
            Self::Double(values.clone())
        } else if let (Some(values), DataType::Decimal128(_, scale)) = (array.as_primitive_opt(), data_type) {
            Self::Decimal(values.clone(), *scale)
        } else if let (Some(values), DataType::Decimal256(_, scale)) = (array.as_primitive_opt(), data_type) {
            Self::WideDecimal(values.clone(), *scale)
        } else if let Some(values) = array.as_string_opt() {
            Self::Text(values.clone())
        } else if let Some(values) = array.as_binary_opt() {
            Self::Bytes(values.clone())
        } else if let Some(values) = array.as_primitive_opt() {
            Self::Date(values.clone())
        } else if let DataType::Time32(unit) = data_type {
            Self::Time(as_signed(&cast(array, &DataType::Int32)?)?, *unit)
        } else if let DataType::Time64(unit) = data_type {
            Self::Time(as_signed(array)?, *unit)
        } else if let DataType::Timestamp(unit, _) = data_type {
            Self::Timestamp(as_signed(array)?, *unit)
        } else {
            return Err(ArrowError::NotYetImplemented(format!("type {data_type}")));
        })
    }

    /// Appends the text of the value of a row, which is not null, without quotes.
    pub fn write_text(&self, row: usize, bytes: BytesText, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        match self {
            Self::Boolean(values) => {
                out.extend_from_slice(if values.value(row) { b"true".as_slice() } else { b"false" });
            }
            Self::Signed(values) => out.extend_from_slice(itoa::Buffer::new().format(values.value(row)).as_bytes()),
            Self::Unsigned(values) => out.extend_from_slice(itoa::Buffer::new().format(values.value(row)).as_bytes()),
            Self::Float(values) => text::float(out, values.value(row)),
            Self::Double(values) => text::float(out, values.value(row)),
            Self::Decimal(values, scale) => text::decimal(out, values.value(row), *scale),
            Self::WideDecimal(values, scale) => text::wide_decimal(out, values.value(row), *scale),
            Self::Text(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Self::Bytes(values) => write_bytes(values.value(row), bytes, out),
            Self::Date(values) => text::date(out, i64::from(values.value(row)))?,
            Self::Time(values, unit) => text::time(out, values.value(row), *unit)?,
            Self::Timestamp(values, unit) => text::timestamp(out, values.value(row), *unit)?,
        }
        Ok(())
    }
}

fn write_bytes(value: &[u8], text: BytesText, out: &mut Vec<u8>) {
    match text {
        BytesText::Base64 => {
            let start = out.len();
            out.resize(start + value.len().div_ceil(3) * 4, 0);
            // The length is exact, so this does not fail.
            let length = STANDARD.encode_slice(value, &mut out[start..]).unwrap_or(0);
            out.truncate(start + length);
        }
        BytesText::Postgresql => {
            out.extend_from_slice(b"\\x");
            text::hexadecimal(out, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn texts_are_judged_by_what_is_in_their_rows() {
        let array: ArrayRef =
            Arc::new(StringArray::from(vec![Some("\"first\""), Some("a"), None, Some("b"), Some("c,d")]));
        let seen = |start, length| {
            let mut seen = String::new();
            let column = TextColumn::new(&array.slice(start, length), |texts| {
                seen = String::from_utf8(texts.to_vec()).unwrap();
                !texts.contains(&b',')
            });
            (seen, column.unwrap().is_plain)
        };
        assert_eq!(seen(1, 3), ("ab".to_owned(), true));
        assert_eq!(seen(3, 2), ("bc,d".to_owned(), false));
        assert_eq!(seen(2, 0), (String::new(), true));
    }
}
