//! Decodes values of PostgreSQL's binary format into Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, ValueRef as _};

use super::catalog::ColumnType;
use crate::delivery::DeliveryError;
use crate::delivery::datasets::types::UTC;
use crate::model::{FailureCode, parse_decimal};

/// Days from 1970-01-01 to 2000-01-01, the epoch of PostgreSQL.
const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// The time 24:00, which only PostgreSQL has.
const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// A column under construction.
pub enum Column {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Column {
    /// An empty column.
    pub fn new(column: ColumnType) -> Self {
        match column {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Integer => Self::Integer(Int64Builder::new()),
            ColumnType::Real => Self::Real(Float32Builder::new()),
            ColumnType::Double => Self::Double(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => Self::Decimal(Decimal128Builder::new(), precision, scale),
            // A query never selects a column of an unsupported type.
            ColumnType::Text | ColumnType::AsText | ColumnType::Unsupported => Self::Text(StringBuilder::new()),
            ColumnType::Bytes => Self::Bytes(BinaryBuilder::new()),
            ColumnType::Date => Self::Date(Date32Builder::new()),
            ColumnType::Time => Self::Time(Time64MicrosecondBuilder::new()),
            ColumnType::LocalTimestamp | ColumnType::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
        }
    }

    /// The Arrow type of a column.
    pub fn data_type(column: ColumnType) -> DataType {
        match column {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Integer => DataType::Int64,
            ColumnType::Real => DataType::Float32,
            ColumnType::Double => DataType::Float64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            ColumnType::Text | ColumnType::AsText | ColumnType::Unsupported => DataType::Utf8,
            ColumnType::Bytes => DataType::Binary,
            ColumnType::Date => DataType::Date32,
            ColumnType::Time => DataType::Time64(TimeUnit::Microsecond),
            ColumnType::LocalTimestamp | ColumnType::Timestamp => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
            }
        }
    }

    /// Appends a value of a row, and returns its size in bytes.
    pub fn push(&mut self, row: &PgRow, index: usize, field: &str) -> Result<usize, DeliveryError> {
        let undecodable =
            |cause: &str| DeliveryError::new(FailureCode::DatasetUnavailable, format!("{field}: {cause}"));
        let value = row.try_get_raw(index).map_err(|_| undecodable("no such column in the result"))?;
        if value.is_null() {
            self.push_null();
            return Ok(1);
        }
        let bytes = value.as_bytes().map_err(|_| undecodable("the value is not in binary format"))?;
        let size = bytes.len();
        match self.push_value(bytes) {
            Ok(()) => Ok(size),
            Err(ValueError::Malformed) => Err(undecodable("the value has an unexpected size or encoding")),
            Err(ValueError::NoEquivalent) => {
                let detail = format!("{field} has a value without an equivalent: infinity, not a number, or 24:00");
                Err(DeliveryError::new(FailureCode::ValueNotEncodable, detail))
            }
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Real(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
        }
    }

    fn push_value(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        match self {
            Self::Boolean(builder) => builder.append_value(fixed::<1>(bytes)? != [0]),
            Self::Integer(builder) => builder.append_value(i64::from_be_bytes(fixed(bytes)?)),
            Self::Real(builder) => builder.append_value(f32::from_be_bytes(fixed(bytes)?)),
            Self::Double(builder) => builder.append_value(f64::from_be_bytes(fixed(bytes)?)),
            // NaN and infinity are no decimals.
            Self::Decimal(builder, _, scale) => {
                builder.append_value(parse_decimal(utf8(bytes)?, *scale).map_err(|_| ValueError::NoEquivalent)?);
            }
            Self::Text(builder) => builder.append_value(utf8(bytes)?),
            Self::Bytes(builder) => builder.append_value(bytes),
            Self::Date(builder) => {
                let days = finite(i32::from_be_bytes(fixed(bytes)?), i32::MIN, i32::MAX)?;
                builder.append_value(days.checked_add(EPOCH_DAYS).ok_or(ValueError::NoEquivalent)?);
            }
            Self::Time(builder) => match i64::from_be_bytes(fixed(bytes)?) {
                MICROSECONDS_PER_DAY => return Err(ValueError::NoEquivalent),
                time => builder.append_value(time),
            },
            Self::Timestamp(builder) => {
                let microseconds = finite(i64::from_be_bytes(fixed(bytes)?), i64::MIN, i64::MAX)?;
                builder.append_value(microseconds.checked_add(EPOCH_MICROSECONDS).ok_or(ValueError::NoEquivalent)?);
            }
        }
        Ok(())
    }

    /// The finished column.
    pub fn finish(self) -> Result<ArrayRef, DeliveryError> {
        Ok(match self {
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Integer(mut builder) => Arc::new(builder.finish()),
            Self::Real(mut builder) => Arc::new(builder.finish()),
            Self::Double(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(mut builder, precision, scale) => {
                let array = builder.finish().with_precision_and_scale(precision, scale);
                Arc::new(array.map_err(|error| DeliveryError::with(FailureCode::Internal, "decimal", error))?)
            }
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) => Arc::new(builder.finish().with_timezone(UTC)),
        })
    }
}

/// Why a value cannot be decoded.
enum ValueError {
    /// The bytes are not those of the type.
    Malformed,
    /// It is infinite, not a number, or 24:00.
    NoEquivalent,
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| ValueError::Malformed)
}

fn utf8(bytes: &[u8]) -> Result<&str, ValueError> {
    std::str::from_utf8(bytes).map_err(|_| ValueError::Malformed)
}

/// PostgreSQL writes -infinity and infinity as the extremes.
fn finite<T: PartialEq + Copy>(value: T, minimum: T, maximum: T) -> Result<T, ValueError> {
    if value == minimum || value == maximum { Err(ValueError::NoEquivalent) } else { Ok(value) }
}
