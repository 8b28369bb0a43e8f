//! Operands of filters, parsed by the type of the field.

use arrow::datatypes::i256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveTime, Timelike as _};
use serde_json::Value;

use crate::model::{Comparison, FieldType, PayloadFilter};

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The operands of a comparison, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub enum Operands {
    /// Of Boolean values.
    Boolean(Vec<bool>),
    /// Of integers; of decimals of up to 38 digits without their point; days; nanoseconds since midnight or 1970.
    Whole(Vec<i128>),
    /// Of decimals of up to 76 digits without their point.
    Wide(Vec<i256>),
    /// Of floating-point numbers.
    Real(Vec<f64>),
    /// Of texts and bytes.
    Bytes(Vec<Vec<u8>>),
    /// Of a comparison without operands.
    None,
}

/// Checks that a field of a type can be compared as the filter says. The message completes "the filter of field …".
pub fn check_filter(field_type: FieldType, filter: &PayloadFilter) -> Result<(), String> {
    parse(field_type, filter).map(|_| ())
}

/// The operands of a filter of a field.
pub fn parse(field_type: FieldType, filter: &PayloadFilter) -> Result<Operands, String> {
    if field_type == FieldType::Unsupported {
        return Err("cannot be evaluated: the type of the field is not supported".to_owned());
    }
    let is_ordering = match filter.comparison {
        Comparison::IsNull | Comparison::IsNotNull => return Ok(Operands::None),
        Comparison::Equals | Comparison::NotEquals | Comparison::In | Comparison::NotIn => false,
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => true,
    };
    if filter.values.is_empty() {
        return Err("needs a value".to_owned());
    }
    let values = &filter.values;
    match field_type {
        FieldType::Boolean if is_ordering => Err("cannot order true and false".to_owned()),
        FieldType::Boolean => Ok(Operands::Boolean(sorted(values, boolean)?)),
        FieldType::Integer => Ok(Operands::Whole(sorted(values, |value| whole(value, 0))?)),
        FieldType::Double => {
            let mut operands = each(values, real)?;
            operands.sort_by(f64::total_cmp);
            Ok(Operands::Real(operands))
        }
        FieldType::Decimal { precision, scale } if precision <= 38 => {
            Ok(Operands::Whole(sorted(values, |value| whole(value, scale))?))
        }
        FieldType::Decimal { scale, .. } => Ok(Operands::Wide(sorted(values, |value| wide(value, scale))?)),
        FieldType::String => Ok(Operands::Bytes(sorted(values, |value| Ok(text(value)?.as_bytes().to_vec()))?)),
        FieldType::Bytes => Ok(Operands::Bytes(sorted(values, base64)?)),
        FieldType::Date => Ok(Operands::Whole(sorted(values, date)?)),
        FieldType::Time => Ok(Operands::Whole(sorted(values, time)?)),
        FieldType::Timestamp => Ok(Operands::Whole(sorted(values, timestamp)?)),
        FieldType::Unsupported => Ok(Operands::None),
    }
}

fn each<T>(values: &[Value], parse: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    values.iter().map(parse).collect()
}

fn sorted<T: Ord>(values: &[Value], parse: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    let mut operands = each(values, parse)?;
    operands.sort();
    Ok(operands)
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "needs a text as its value".to_owned())
}

fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "needs true or false as its value".to_owned())
}

fn real(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        _ => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite()).ok_or_else(|| "needs a finite number as its value".to_owned())
}

/// The exact decimal text of a number; numbers beyond 2^53 and exact decimals come as texts.
fn number_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => Ok(format!("{float}")),
            _ => Ok(number.to_string()),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err("needs a number as its value".to_owned())
        }
    }
}

/// The digits of a number with `scale` digits after the point, and whether it is negative.
fn digits(value: &Value, scale: i8) -> Result<String, String> {
    let text = number_text(value)?;
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return Err("needs a number as its value".to_owned());
    }
    let fraction = fraction.trim_end_matches('0');
    let scale_digits = usize::from(scale.max(0).unsigned_abs());
    if fraction.len() > scale_digits {
        return Err(match scale_digits {
            0 => "needs a whole number as its value".to_owned(),
            _ => format!("needs a number with at most {scale_digits} digits after the point as its value"),
        });
    }
    let all = format!("{sign}{whole}{fraction:0<scale_digits$}");
    let dropped = usize::from(scale.min(0).unsigned_abs());
    let (kept, zeros) = all.split_at(all.len().saturating_sub(dropped));
    if zeros.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0') {
        return Err(format!("needs a multiple of 10^{dropped} as its value"));
    }
    Ok(if kept.is_empty() || kept == "-" { "0".to_owned() } else { kept.to_owned() })
}

fn whole(value: &Value, scale: i8) -> Result<i128, String> {
    digits(value, scale)?.parse().map_err(|_| "needs a number of at most 38 digits as its value".to_owned())
}

fn wide(value: &Value, scale: i8) -> Result<i256, String> {
    let too_long = || "needs a number of at most 76 digits as its value".to_owned();
    i256::from_string(&digits(value, scale)?).ok_or_else(too_long)
}

fn base64(value: &Value) -> Result<Vec<u8>, String> {
    STANDARD.decode(text(value)?).map_err(|_| "needs bytes in Base64 as its value".to_owned())
}

fn date(value: &Value) -> Result<i128, String> {
    let date = text(value)?.parse::<NaiveDate>();
    date.map(|date| i128::from(date.to_epoch_days()))
        .map_err(|_| "needs a date such as 2026-11-24 as its value".to_owned())
}

fn time(value: &Value) -> Result<i128, String> {
    let time =
        text(value)?.parse::<NaiveTime>().map_err(|_| "needs a time such as 06:00:00 as its value".to_owned())?;
    Ok(i128::from(time.num_seconds_from_midnight()) * NANOS_PER_SECOND + i128::from(time.nanosecond()))
}

fn timestamp(value: &Value) -> Result<i128, String> {
    let time = DateTime::parse_from_rfc3339(text(value)?)
        .map_err(|_| "needs a timestamp such as 2026-11-24T06:00:00Z as its value".to_owned())?;
    Ok(i128::from(time.timestamp()) * NANOS_PER_SECOND + i128::from(time.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operands(field_type: FieldType, values: Value) -> Result<Operands, String> {
        let Value::Array(values) = values else { panic!("not a list") };
        parse(field_type, &PayloadFilter { field: "f".into(), comparison: Comparison::In, values })
    }

    #[test]
    fn operands_are_parsed_by_type_and_sorted() {
        let decimal = FieldType::Decimal { precision: 10, scale: 2 };
        let wide = FieldType::Decimal { precision: 40, scale: -1 };
        for (field_type, values, expected) in [
            (FieldType::Boolean, json!([true, false]), Operands::Boolean(vec![false, true])),
            (
                FieldType::Integer,
                json!([5432.0, "9007199254740993", -1]),
                Operands::Whole(vec![-1, 5432, 9_007_199_254_740_993]),
            ),
            (
                FieldType::Integer,
                json!([1e18, u64::MAX]),
                Operands::Whole(vec![1_000_000_000_000_000_000, u64::MAX.into()]),
            ),
            (FieldType::Double, json!([1.5, "-2"]), Operands::Real(vec![-2.0, 1.5])),
            (decimal, json!([0.1, "-12.50", 3, ".5", "+1."]), Operands::Whole(vec![-1250, 10, 50, 100, 300])),
            (wide, json!(["120", 0]), Operands::Wide(vec![i256::from_i128(0), i256::from_i128(12)])),
            (FieldType::String, json!(["b", "a"]), Operands::Bytes(vec![b"a".to_vec(), b"b".to_vec()])),
            (FieldType::Bytes, json!(["/w=="]), Operands::Bytes(vec![vec![255]])),
            (FieldType::Date, json!(["1970-01-02"]), Operands::Whole(vec![1])),
            (FieldType::Time, json!(["00:00:01.5"]), Operands::Whole(vec![1_500_000_000])),
            (FieldType::Timestamp, json!(["1970-01-01T01:00:00+01:00"]), Operands::Whole(vec![0])),
        ] {
            assert_eq!(operands(field_type, values), Ok(expected), "{field_type:?}");
        }
    }

    #[test]
    fn operands_of_other_types_are_refused() {
        let decimal = FieldType::Decimal { precision: 10, scale: 2 };
        for (field_type, value) in [
            (FieldType::Boolean, json!("true")),
            (FieldType::Integer, json!(1.5)),
            (FieldType::Integer, json!("one")),
            (FieldType::Integer, json!("")),
            (FieldType::Integer, json!("-")),
            (FieldType::Integer, json!(true)),
            (FieldType::Double, json!("NaN")),
            (FieldType::Double, json!("inf")),
            (decimal, json!("1.005")),
            (decimal, json!("1e3")),
            (FieldType::Decimal { precision: 40, scale: -1 }, json!(125)),
            (FieldType::String, json!(1)),
            (FieldType::Bytes, json!("*")),
            (FieldType::Date, json!("2026-02-30")),
            (FieldType::Time, json!("24:00:01")),
            (FieldType::Timestamp, json!("2026-11-24T06:00:00")),
            (FieldType::Unsupported, json!("x")),
        ] {
            assert!(operands(field_type, json!([value])).is_err(), "{field_type:?} {value}");
        }
        let order = PayloadFilter { field: "f".into(), comparison: Comparison::Less, values: vec![json!(true)] };
        assert!(check_filter(FieldType::Boolean, &order).is_err());
        let null = PayloadFilter { field: "f".into(), comparison: Comparison::IsNull, values: vec![] };
        assert_eq!(check_filter(FieldType::Boolean, &null), Ok(()));
        assert!(check_filter(FieldType::Unsupported, &null).is_err());
    }
}
