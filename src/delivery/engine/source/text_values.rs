//! Values that text files hold as text and that the readers of Arrow do not convert exactly: bytes and decimals.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BinaryArray, Decimal128Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::delivery::engine::job::TablePlan;

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// It is not of the type of its field.
    OtherType,
    /// It is a number with more digits than its field has.
    TooManyDigits,
}

/// Whether the values of a type are read as text and then decoded: arrow would round decimals.
pub fn is_decoded(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::Decimal128(..))
}

/// Decodes the fields for which [`is_decoded`] says so in the plan. On failure, returns the name of the field.
pub fn decode(plan: &TablePlan, batch: RecordBatch) -> Result<RecordBatch, (String, BadValue)> {
    let schema = batch.schema();
    let wanted = |field: &Field| {
        let read = plan.read.iter().find(|read| read.name == *field.name());
        read.map(|read| &read.data_type).filter(|data_type| is_decoded(data_type))
    };
    if !schema.fields().iter().any(|field| wanted(field).is_some()) {
        return Ok(batch);
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let decoded = match wanted(field) {
            Some(DataType::Decimal128(precision, scale)) => decimals(column, *precision, *scale),
            Some(_) => bytes(column),
            None => Ok(Arc::clone(column)),
        };
        let decoded = decoded.map_err(|cause| (field.name().clone(), cause))?;
        fields.push(Field::new(field.name(), decoded.data_type().clone(), true));
        columns.push(decoded);
    }
    // The columns have the types and lengths that are stated.
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|_| (String::new(), BadValue::OtherType))
}

/// Bytes in Base64.
fn bytes(texts: &ArrayRef) -> Result<ArrayRef, BadValue> {
    let decode = |text| STANDARD.decode(text).map_err(|_| BadValue::OtherType);
    let values = texts.as_string::<i32>().iter().map(|text: Option<&str>| text.map(decode).transpose());
    Ok(Arc::new(BinaryArray::from_iter(values.collect::<Result<Vec<_>, _>>()?)))
}

fn decimals(texts: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef, BadValue> {
    let texts = texts.as_string::<i32>().iter();
    let values = texts.map(|text| text.map(|text| parse_decimal(text, precision, scale)).transpose());
    let values = Decimal128Array::from_iter(values.collect::<Result<Vec<_>, _>>()?);
    Ok(Arc::new(values.with_precision_and_scale(precision, scale).map_err(|_| BadValue::OtherType)?))
}

/// The number in a text such as `-12.50` or `1e3`, times ten to the power of `scale`. It is never rounded.
fn parse_decimal(text: &str, precision: u8, scale: i8) -> Result<i128, BadValue> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().map_err(|_| BadValue::OtherType)?),
        None => (text, 0),
    };
    let (is_negative, digits) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return Err(BadValue::OtherType);
    }
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // The power of ten of the last significant digit, in units of the scale.
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let shift = length(whole) - length(significant) + i64::from(exponent) + i64::from(scale);
    let shift = u32::try_from(shift).map_err(|_| BadValue::TooManyDigits)?;
    let magnitude = significant.parse::<u128>().ok().zip(10_u128.checked_pow(shift));
    let magnitude = magnitude.and_then(|(digits, power)| digits.checked_mul(power));
    let magnitude = magnitude.filter(|magnitude| *magnitude < 10_u128.pow(u32::from(precision)));
    let magnitude = magnitude.and_then(|magnitude| i128::try_from(magnitude).ok()).ok_or(BadValue::TooManyDigits)?;
    Ok(if is_negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        use BadValue::{OtherType, TooManyDigits};
        for (text, expected) in [
            ("0", Ok(0)),
            ("-0.00", Ok(0)),
            ("12.5", Ok(1250)),
            ("-12.50", Ok(-1250)),
            ("+7", Ok(700)),
            (".5", Ok(50)),
            ("5.", Ok(500)),
            ("000012.50000000000000000000000000000000000000000000000000", Ok(1250)),
            ("1.25e1", Ok(1250)),
            ("125E-1", Ok(1250)),
            ("99999.99", Ok(9_999_999)),
            ("1.005", Err(TooManyDigits)),
            ("1e-3", Err(TooManyDigits)),
            ("100000", Err(TooManyDigits)),
            ("1e99", Err(TooManyDigits)),
            ("123456789012345678901234567890123456789012345", Err(TooManyDigits)),
            ("", Err(OtherType)),
            ("-", Err(OtherType)),
            (".", Err(OtherType)),
            ("1,5", Err(OtherType)),
            ("1.2.3", Err(OtherType)),
            (" 1", Err(OtherType)),
            ("e5", Err(OtherType)),
            ("1e", Err(OtherType)),
            ("NaN", Err(OtherType)),
            ("\u{661}", Err(OtherType)),
        ] {
            assert_eq!(parse_decimal(text, 7, 2), expected, "{text}");
        }
        let nines = "9".repeat(38);
        assert_eq!(parse_decimal(&nines, 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(parse_decimal(&format!("{nines}9"), 38, 0), Err(TooManyDigits));
    }
}
