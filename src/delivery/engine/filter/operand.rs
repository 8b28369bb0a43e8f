//! Operands of comparisons, in the form in which values of columns are compared with them.

use arrow::datatypes::i256;
use chrono::{Datelike as _, Timelike as _};

use crate::model::{FieldType, FilterValue};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// Digits of a decimal with 128 bits.
const MAX_DECIMAL128_DIGITS: u8 = 38;
/// Days from 0001-01-01, which is day 1, to 1970-01-01.
const EPOCH_DAY: i32 = 719_163;

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
    /// Of texts.
    Text(Vec<String>),
    /// Of a comparison without operands.
    None,
}

impl Operands {
    /// The operands of these values, which are all of the type of the field.
    pub fn new(field_type: FieldType, values: &[FilterValue]) -> Self {
        let is_wide = matches!(field_type, FieldType::Decimal { precision, .. } if precision > MAX_DECIMAL128_DIGITS);
        let (mut booleans, mut whole, mut real, mut texts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                FilterValue::Boolean(value) => booleans.push(*value),
                FilterValue::Integer(value) | FilterValue::Decimal(value) => whole.push(*value),
                FilterValue::Double(value) => real.push(*value),
                FilterValue::String(value) => texts.push(value.clone()),
                FilterValue::Date(value) => whole.push(i128::from(value.num_days_from_ce() - EPOCH_DAY)),
                FilterValue::Time(value) => {
                    whole.push(nanoseconds(value.num_seconds_from_midnight().into(), value.nanosecond()));
                }
                FilterValue::Timestamp(value) => {
                    whole.push(nanoseconds(value.timestamp(), value.timestamp_subsec_nanos()));
                }
            }
        }
        booleans.sort_unstable();
        whole.sort_unstable();
        real.sort_unstable_by(f64::total_cmp);
        texts.sort_unstable();
        match (whole.is_empty(), is_wide) {
            (false, false) => Self::Whole(whole),
            (false, true) => Self::Wide(whole.into_iter().map(i256::from_i128).collect()),
            _ if !booleans.is_empty() => Self::Boolean(booleans),
            _ if !real.is_empty() => Self::Real(real),
            _ if !texts.is_empty() => Self::Text(texts),
            _ => Self::None,
        }
    }

    /// The last, greatest one.
    pub fn last(&self) -> Self {
        fn last<T: Clone>(values: &[T]) -> Vec<T> {
            values.last().cloned().into_iter().collect()
        }
        match self {
            Self::Boolean(values) => Self::Boolean(last(values)),
            Self::Whole(values) => Self::Whole(last(values)),
            Self::Wide(values) => Self::Wide(last(values)),
            Self::Real(values) => Self::Real(last(values)),
            Self::Text(values) => Self::Text(last(values)),
            Self::None => Self::None,
        }
    }
}

fn nanoseconds(seconds: i64, nanos: u32) -> i128 {
    i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operands(field_type: FieldType, values: &serde_json::Value) -> Operands {
        let parsed: Result<Vec<_>, _> =
            values.as_array().unwrap().iter().map(|value| FilterValue::parse(field_type, value)).collect();
        Operands::new(field_type, &parsed.unwrap())
    }

    #[test]
    fn operands_are_converted_by_type_and_sorted() {
        let decimal = FieldType::Decimal { precision: 10, scale: 2 };
        let wide = FieldType::Decimal { precision: 40, scale: -1 };
        for (field_type, values, expected) in [
            (FieldType::Boolean, json!([true, false]), Operands::Boolean(vec![false, true])),
            (FieldType::Integer, json!([5432, "-1"]), Operands::Whole(vec![-1, 5432])),
            (FieldType::Double, json!([1.5, "-2"]), Operands::Real(vec![-2.0, 1.5])),
            (decimal, json!(["0.1", "-12.50", 3]), Operands::Whole(vec![-1250, 10, 300])),
            (wide, json!(["120", 0]), Operands::Wide(vec![i256::from_i128(0), i256::from_i128(12)])),
            (FieldType::String, json!(["b", "a"]), Operands::Text(vec!["a".to_owned(), "b".to_owned()])),
            (FieldType::Date, json!(["1970-01-02", "1969-12-31"]), Operands::Whole(vec![-1, 1])),
            (FieldType::Time, json!(["00:00:01.5"]), Operands::Whole(vec![1_500_000_000])),
            (FieldType::Timestamp, json!(["1970-01-01T01:00:00+01:00"]), Operands::Whole(vec![0])),
            (FieldType::Bytes, json!([]), Operands::None),
        ] {
            assert_eq!(operands(field_type, &values), expected, "{field_type:?}");
        }
    }
}
