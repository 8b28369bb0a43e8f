//! Typed values of filters.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Number, Value};

use super::dataset::FieldType;
use super::json::is_inexact;
use super::payload::{Comparison, PayloadFilter};

/// Maximum number of digits of a decimal value.
pub const MAX_DECIMAL_DIGITS: usize = 38;

/// What is wrong with a number that a double cannot hold exactly.
pub const TOO_LARGE: &str = "is too large to arrive exactly as a number; send it as a string";

/// A value that a field is compared with, of the type of the field.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterValue {
    /// True or false.
    Boolean(bool),
    /// A whole number. It can be beyond 64 bits; then no field equals it.
    Integer(i128),
    /// A finite floating-point number.
    Double(f64),
    /// A decimal number with the scale of the field: `12.50` is 1250 if the scale is 2.
    Decimal(i128),
    /// A text. Texts are ordered by their UTF-8 bytes.
    String(String),
    /// A day.
    Date(NaiveDate),
    /// A time of day.
    Time(NaiveTime),
    /// An instant.
    Timestamp(DateTime<Utc>),
}

/// A comparison with typed values. A null matches `IS_NULL` alone, as in SQL: not `NOT_EQUALS` and `NOT_IN` either.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedFilter {
    /// Name of the field.
    pub field: String,
    /// Comparison operator.
    pub comparison: Comparison,
    /// Operands, as many as the comparison takes.
    pub values: Vec<FilterValue>,
}

/// Why a filter does not suit the type of its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterMismatch {
    /// The type has no such comparison.
    Comparison(String),
    /// A value is not of the type.
    Value {
        /// Its index.
        index: usize,
        /// What is wrong with it.
        description: String,
    },
}

impl PayloadFilter {
    /// The filter for a field of a type, or every way in which it does not suit that type. The number of its values has
    /// been checked.
    pub fn typed(&self, field_type: FieldType) -> Result<TypedFilter, Vec<FilterMismatch>> {
        if !self.comparison.applies_to(field_type) {
            let description = format!("is not possible for a field of the type {}", field_type.name());
            return Err(vec![FilterMismatch::Comparison(description)]);
        }
        let (mut values, mut mismatches) = (Vec::with_capacity(self.values.len()), Vec::new());
        for (index, value) in self.values.iter().enumerate() {
            match FilterValue::parse(field_type, value) {
                Ok(value) => values.push(value),
                Err(description) => mismatches.push(FilterMismatch::Value { index, description }),
            }
        }
        let filter = || TypedFilter { field: self.field.clone(), comparison: self.comparison, values };
        if mismatches.is_empty() { Ok(filter()) } else { Err(mismatches) }
    }
}

impl Comparison {
    /// Whether fields of the type can be compared so.
    pub fn applies_to(self, field_type: FieldType) -> bool {
        match self {
            Self::IsNull | Self::IsNotNull => field_type != FieldType::Unsupported,
            Self::Equals | Self::NotEquals | Self::In | Self::NotIn => {
                !matches!(field_type, FieldType::Unsupported | FieldType::Bytes)
            }
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => {
                !matches!(field_type, FieldType::Unsupported | FieldType::Bytes | FieldType::Boolean)
            }
        }
    }
}

impl FilterValue {
    /// Parses a value for a field of the type. The error says what is accepted.
    pub fn parse(field_type: FieldType, value: &Value) -> Result<Self, String> {
        match (field_type, value) {
            (FieldType::Boolean, Value::Bool(value)) => Ok(Self::Boolean(*value)),
            (FieldType::Boolean, Value::String(text)) if matches!(text.trim(), "true" | "false") => {
                Ok(Self::Boolean(text.trim() == "true"))
            }
            (FieldType::Boolean, _) => Err("must be true or false".to_owned()),
            (FieldType::Integer, value) => integer(value).map(Self::Integer),
            (FieldType::Double, value) => double(value).map(Self::Double),
            (FieldType::Decimal { scale, .. }, value) => decimal(value, scale).map(Self::Decimal),
            (FieldType::String, Value::String(text)) => Ok(Self::String(text.clone())),
            (FieldType::String, _) => Err("must be a string".to_owned()),
            (FieldType::Date, value) => text(value)
                .and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
                .map(Self::Date)
                .ok_or_else(|| "must be a date such as \"2026-11-24\"".to_owned()),
            (FieldType::Time, value) => text(value)
                .and_then(|text| NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok())
                .map(Self::Time)
                .ok_or_else(|| "must be a time such as \"06:30:00\"".to_owned()),
            (FieldType::Timestamp, value) => text(value)
                .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
                .map(|time| Self::Timestamp(time.to_utc()))
                .ok_or_else(|| "must be a time in RFC 3339 format, such as \"2026-11-24T06:00:00Z\"".to_owned()),
            (FieldType::Bytes | FieldType::Unsupported, _) => {
                Err(format!("cannot be compared with a field of the type {}", field_type.name()))
            }
        }
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim)
}

fn integer(value: &Value) -> Result<i128, String> {
    match value {
        Value::Number(number) => exact(number),
        Value::String(text) => text.trim().parse().map_err(|_| "must be a whole number".to_owned()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err("must be a whole number".to_owned()),
    }
}

/// A whole number that arrived as a double and is certain to be the one that was meant.
fn exact(number: &Number) -> Result<i128, String> {
    match number.as_i64() {
        _ if is_inexact(number) => Err(TOO_LARGE.to_owned()),
        Some(whole) => Ok(whole.into()),
        None => Err("must be a whole number".to_owned()),
    }
}

fn double(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::Number(number) => {
            if number.as_f64().is_some_and(|double| double.fract() == 0.0) {
                exact(number)?;
            }
            number.as_f64()
        }
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.is_finite()).ok_or_else(|| "must be a finite number".to_owned())
}

fn decimal(value: &Value, scale: i8) -> Result<i128, String> {
    match value {
        Value::Number(number) => match exact(number) {
            Ok(whole) => parse_decimal(&whole.to_string(), scale),
            Err(_) if number.as_f64().is_some_and(|double| double.fract() != 0.0) => {
                Err(format!("must be sent as a string to be exact: \"{number}\""))
            }
            Err(error) => Err(error),
        },
        Value::String(text) => parse_decimal(text.trim(), scale),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err("must be a decimal number as a string, such as \"12.50\"".to_owned())
        }
    }
}

/// Parses `-12.5` to a number of units of 10^-scale. Further digits after the point must be zeros.
pub fn parse_decimal(text: &str, scale: i8) -> Result<i128, String> {
    let malformed = || "must be a decimal number such as \"12.50\"".to_owned();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || unsigned.ends_with('.') {
        return Err(malformed());
    }
    let digits: String = whole.chars().chain(fraction.trim_end_matches('0').chars()).collect();
    // Number of zeros to append; if negative, to remove.
    let shift = i64::from(scale) - i64::try_from(fraction.trim_end_matches('0').len()).unwrap_or(i64::MAX);
    let digits = digits.trim_start_matches('0');
    let digits = if let Ok(zeros) = usize::try_from(shift) {
        format!("{digits}{}", "0".repeat(zeros))
    } else {
        let removed = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
        let kept = digits.len().checked_sub(removed).or_else(|| digits.is_empty().then_some(0));
        match kept.map(|kept| digits.split_at(kept)) {
            Some((kept, zeros)) if zeros.bytes().all(|byte| byte == b'0') => kept.to_owned(),
            _ => return Err(too_precise(scale)),
        }
    };
    if digits.trim_start_matches('0').len() > MAX_DECIMAL_DIGITS {
        return Err(format!("must have at most {MAX_DECIMAL_DIGITS} digits"));
    }
    let number: i128 = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| malformed())? };
    Ok(if text.starts_with('-') { -number } else { number })
}

fn too_precise(scale: i8) -> String {
    match u8::try_from(scale) {
        Ok(scale) => format!("must have at most {scale} digits after the decimal point, as the field has"),
        Err(_) => format!("must be a multiple of 10^{}, as the values of the field are", scale.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(field_type: FieldType, value: &Value) -> Result<FilterValue, String> {
        FilterValue::parse(field_type, value)
    }

    #[test]
    fn numbers_that_a_double_cannot_hold_exactly_must_be_strings() {
        let edge = 9_007_199_254_740_992_i64;
        for field_type in [FieldType::Integer, FieldType::Double, FieldType::Decimal { precision: 38, scale: 2 }] {
            for value in [json!(edge), json!(-edge), json!(1e300)] {
                assert_eq!(parse(field_type, &value), Err(TOO_LARGE.to_owned()), "{field_type:?} {value}");
            }
        }
        assert_eq!(parse(FieldType::Integer, &json!(edge - 1)), Ok(FilterValue::Integer(i128::from(edge - 1))));
        let large = i128::from(u64::MAX);
        assert_eq!(parse(FieldType::Integer, &json!(large.to_string())), Ok(FilterValue::Integer(large)));
        assert!(parse(FieldType::Integer, &json!(1.5)).is_err());
        assert_eq!(parse(FieldType::Double, &json!(1.5)), Ok(FilterValue::Double(1.5)));
        assert!(parse(FieldType::Double, &json!("NaN")).is_err() && parse(FieldType::Double, &json!("x")).is_err());
    }

    #[test]
    fn decimals_have_the_scale_of_their_field() {
        let cases = [
            ("12.5", 2, Some(1250)),
            ("-12.50", 2, Some(-1250)),
            ("+0012.500", 2, Some(1250)),
            ("0", 2, Some(0)),
            ("0.00", 0, Some(0)),
            ("0.001", 2, None),
            ("12.345", 2, None),
            ("1200", -2, Some(12)),
            ("1250", -2, None),
            ("7", -2, None),
            ("1.", 2, None),
            (".5", 2, None),
            ("1e5", 2, None),
            ("", 2, None),
            ("- 1", 2, None),
            ("99999999999999999999999999999999999999", 0, Some(99_999_999_999_999_999_999_999_999_999_999_999_999)),
            ("999999999999999999999999999999999999999", 0, None),
            ("99999999999999999999999999999999999999", 1, None),
        ];
        for (text, scale, expected) in cases {
            assert_eq!(parse_decimal(text, scale).ok(), expected, "{text} with scale {scale}");
        }
        let field_type = FieldType::Decimal { precision: 12, scale: 2 };
        assert_eq!(parse(field_type, &json!(12)), Ok(FilterValue::Decimal(1200)));
        let error = parse(field_type, &json!(12.5)).unwrap_err();
        assert_eq!(error, "must be sent as a string to be exact: \"12.5\"");
    }

    #[test]
    fn dates_and_times_are_parsed_strictly() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
        assert_eq!(parse(FieldType::Date, &json!("2026-11-24")), Ok(FilterValue::Date(date)));
        let time = date.and_hms_opt(5, 0, 0).unwrap().and_utc();
        let local = json!("2026-11-24T06:00:00+01:00");
        assert_eq!(parse(FieldType::Timestamp, &local), Ok(FilterValue::Timestamp(time)));
        assert!(parse(FieldType::Time, &json!("06:30:00.5")).is_ok());
        for (field_type, text) in [
            (FieldType::Date, "2026-02-30"),
            (FieldType::Date, "24.11.2026"),
            (FieldType::Timestamp, "2026-11-24 06:00"),
            (FieldType::Timestamp, "2026-11-24T06:00:00"),
            (FieldType::Time, "25:00:00"),
            (FieldType::Boolean, "yes"),
        ] {
            assert!(parse(field_type, &json!(text)).is_err(), "{field_type:?} {text}");
        }
        assert!(parse(FieldType::String, &json!(5)).is_err());
        assert_eq!(parse(FieldType::Boolean, &json!("true")), Ok(FilterValue::Boolean(true)));
    }

    #[test]
    fn every_value_that_does_not_suit_the_type_is_named() {
        let filter = |comparison, values: Vec<Value>| PayloadFilter { field: "f".into(), comparison, values };
        let found = filter(Comparison::In, vec![json!(1), json!("x"), json!(2), json!(true)]);
        let mismatches = found.typed(FieldType::Integer).unwrap_err();
        let indexes: Vec<_> =
            mismatches.iter().map(|found| matches!(found, FilterMismatch::Value { index: 1 | 3, .. })).collect();
        assert_eq!(indexes, [true, true]);
        for (comparison, field_type) in [
            (Comparison::Less, FieldType::Boolean),
            (Comparison::Equals, FieldType::Bytes),
            (Comparison::IsNull, FieldType::Unsupported),
        ] {
            let found = filter(comparison, vec![]).typed(field_type).unwrap_err();
            assert!(matches!(&found[..], [FilterMismatch::Comparison(_)]));
        }
        let typed = filter(Comparison::IsNull, vec![]).typed(FieldType::Bytes).unwrap();
        assert!(typed.values.is_empty());
    }
}
