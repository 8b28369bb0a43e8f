//! Struct, Timestamp and Duration.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use prost_types::value::Kind;
use serde_json::{Number, Value};

use crate::model::json::Object;
use crate::model::{Violations, limits, validate};

/// 2^53: up to it a double holds every integer exactly.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// A Struct as an object. Whole numbers become integers: 5432 arrives as 5432.0. One that is certainly too large is not
/// converted.
pub fn object(violations: &mut Violations, field: &str, value: prost_types::Struct, max_bytes: usize) -> Object {
    if least_members_bytes(&value) > max_bytes {
        violations.add(field, format!("must not be larger than {max_bytes} bytes as JSON"));
        return Object::new();
    }
    let object = members(violations, field, value);
    validate::object(violations, field, &object, max_bytes);
    object
}

/// The least size of an object as JSON: its texts, and a separator and a character for each value.
fn least_members_bytes(value: &prost_types::Struct) -> usize {
    value.fields.iter().map(|(key, value)| key.len() + least_bytes(value)).sum()
}

fn least_bytes(value: &prost_types::Value) -> usize {
    let content = match &value.kind {
        None | Some(Kind::NullValue(_) | Kind::BoolValue(_) | Kind::NumberValue(_)) => 0,
        Some(Kind::StringValue(value)) => value.len(),
        Some(Kind::ListValue(list)) => list.values.iter().map(least_bytes).sum(),
        Some(Kind::StructValue(value)) => least_members_bytes(value),
    };
    2 + content
}

fn members(violations: &mut Violations, field: &str, value: prost_types::Struct) -> Object {
    value.fields.into_iter().map(|(key, value)| (key, json(violations, field, value))).collect()
}

/// Converts a protobuf value to JSON.
pub fn json(violations: &mut Violations, field: &str, value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => number(value).map_or_else(
            || {
                violations.add(field, "must hold finite numbers only");
                Value::Null
            },
            Value::Number,
        ),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(|value| json(violations, field, value)).collect(),
        Some(Kind::StructValue(value)) => Value::Object(members(violations, field, value)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole and in range, by the condition")]
fn number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() <= MAX_EXACT_INTEGER {
        Some((value as i64).into())
    } else {
        Number::from_f64(value)
    }
}

/// An object as a Struct.
pub fn object_to_proto(object: Object) -> prost_types::Struct {
    prost_types::Struct { fields: object.into_iter().map(|(key, value)| (key, json_to_proto(value))).collect() }
}

/// Converts a JSON value to protobuf.
pub fn json_to_proto(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        Value::String(value) => Kind::StringValue(value),
        Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.into_iter().map(json_to_proto).collect() })
        }
        Value::Object(object) => Kind::StructValue(object_to_proto(object)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A point in time, in whole microseconds.
pub fn time(violations: &mut Violations, field: &str, value: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let value = value?;
    let time = u32::try_from(value.nanos).ok().and_then(|nanos| DateTime::from_timestamp(value.seconds, nanos));
    // Years 1 to 9999, as Timestamp has them.
    let time = time.filter(|time| (-62_135_596_800..253_402_300_800).contains(&time.timestamp()));
    if time.is_none() {
        violations.add(field, "must be a time from year 1 to year 9999");
    }
    time.map(|time| time.trunc_subsecs(6))
}

/// A point in time as a message.
pub fn time_to_proto(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.timestamp(), nanos }
}

/// A duration that is not negative.
pub fn duration(violations: &mut Violations, field: &str, value: Option<prost_types::Duration>) -> Option<Duration> {
    let value = value?;
    let span =
        u64::try_from(value.seconds).ok().zip(u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000));
    if span.is_none() {
        violations.add(field, "must be a duration that is not negative, with `nanos` below 1,000,000,000");
    }
    span.map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

/// A duration as a message.
pub fn duration_to_proto(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}

/// The properties of a connection.
pub fn properties(violations: &mut Violations, field: &str, value: Option<prost_types::Struct>) -> Object {
    object(violations, field, value.unwrap_or_default(), limits::MAX_PROPERTIES_BYTES)
}

/// The destination settings of an export.
pub fn settings(violations: &mut Violations, field: &str, value: Option<prost_types::Struct>) -> Object {
    object(violations, field, value.unwrap_or_default(), limits::MAX_EXPORT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unchanged_after_two_conversions() {
        let mut violations = Violations::new();
        for (given, expected) in
            [(5432.0, Value::from(5432)), (-1.0, Value::from(-1)), (0.5, Value::from(0.5)), (1e300, Value::from(1e300))]
        {
            let value = prost_types::Value { kind: Some(Kind::NumberValue(given)) };
            let value = json(&mut violations, "p", value);
            assert_eq!(value, expected);
            assert_eq!(json_to_proto(value).kind, Some(Kind::NumberValue(given)));
        }
        assert!(violations.is_empty());
        json(&mut violations, "p", prost_types::Value { kind: Some(Kind::NumberValue(f64::NAN)) });
        assert_eq!(violations.len(), 1);
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        let mut violations = Violations::new();
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (253_402_300_800, 0), (-62_135_596_801, 0)] {
            assert_eq!(time(&mut violations, "t", Some(prost_types::Timestamp { seconds, nanos })), None);
        }
        assert_eq!(violations.len(), 4);
        let fine = time(&mut violations, "t", Some(prost_types::Timestamp { seconds: 1, nanos: 1_999 }));
        assert_eq!(fine.map(time_to_proto), Some(prost_types::Timestamp { seconds: 1, nanos: 1_000 }));
    }
}
