//! Evaluates comparisons on columns.

use arrow::array::{Array as _, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{TimeUnit, i256};

use super::operand::Operands;
use crate::delivery::DeliveryError;
use crate::delivery::engine::column::{Column, Values};
use crate::delivery::engine::text::units;
use crate::model::{Comparison, FailureCode, FieldType, TypedFilter};

/// A comparison of a field with operands.
///
/// As in SQL, a comparison with null is not true, also `NOT_EQUALS` and `NOT_IN`. Texts are compared byte by byte; NaN is different from every number, and neither less nor greater than any.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// Index of the field among those that are read.
    pub field: usize,
    pub(super) comparison: Comparison,
    pub(super) operands: Operands,
}

impl Predicate {
    /// The predicate of a filter of a field with this type.
    pub fn new(field: usize, field_type: FieldType, filter: &TypedFilter) -> Self {
        Self { field, comparison: filter.comparison, operands: Operands::new(field_type, &filter.values) }
    }

    /// The rows for which the comparison is true.
    pub fn evaluate(&self, array: &ArrayRef) -> Result<BooleanBuffer, DeliveryError> {
        if self.comparison == Comparison::IsNull {
            return Ok(BooleanBuffer::collect_bool(array.len(), |row| array.is_null(row)));
        }
        if self.comparison == Comparison::IsNotNull {
            return Ok(BooleanBuffer::collect_bool(array.len(), |row| array.is_valid(row)));
        }
        evaluate(&Column::new(array)?, array.len(), self.comparison, &self.operands)
    }
}

/// The rows for which all comparisons are true. `arrays` gives the values of a field.
pub fn evaluate_all(
    predicates: &[Predicate],
    rows: usize,
    arrays: impl Fn(usize) -> Result<ArrayRef, DeliveryError>,
) -> Result<BooleanBuffer, DeliveryError> {
    let mut selected = BooleanBuffer::new_set(rows);
    for predicate in predicates {
        selected = &selected & &predicate.evaluate(&arrays(predicate.field)?)?;
    }
    Ok(selected)
}

/// The rows whose value is not null and for which a comparison is true.
pub(super) fn evaluate(
    column: &Column,
    rows: usize,
    comparison: Comparison,
    operands: &Operands,
) -> Result<BooleanBuffer, DeliveryError> {
    let matching = match (&column.values, operands) {
        (Values::Boolean(values), Operands::Boolean(operands)) => {
            compare(rows, |row| values.value(row), comparison, operands)
        }
        (Values::Signed(values), Operands::Whole(operands)) => {
            compare(rows, |row| i128::from(values.value(row)), comparison, operands)
        }
        (Values::Unsigned(values), Operands::Whole(operands)) => {
            compare(rows, |row| i128::from(values.value(row)), comparison, operands)
        }
        (Values::Decimal(values, _), Operands::Whole(operands)) => {
            compare(rows, |row| values.value(row), comparison, operands)
        }
        (Values::Date(values), Operands::Whole(operands)) => {
            compare(rows, |row| i128::from(values.value(row)), comparison, operands)
        }
        (Values::Time(values, unit) | Values::Timestamp(values, unit), Operands::Whole(operands)) => {
            compare(rows, |row| nanoseconds(values.value(row), *unit), comparison, operands)
        }
        (Values::WideDecimal(values, _), Operands::Wide(operands)) => {
            compare::<i256>(rows, |row| values.value(row), comparison, operands)
        }
        (Values::Float(values), Operands::Real(operands)) => {
            compare(rows, |row| f64::from(values.value(row)), comparison, operands)
        }
        (Values::Double(values), Operands::Real(operands)) => {
            compare(rows, |row| values.value(row), comparison, operands)
        }
        (Values::Text(values), Operands::Text(operands)) => {
            let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
            compare(rows, |row| values.value(row), comparison, &operands)
        }
        (_, operands) => {
            let detail = format!("operands {operands:?} do not belong to the type of the field");
            return Err(DeliveryError::new(FailureCode::FieldTypeChanged, detail));
        }
    };
    Ok(match column.nulls() {
        Some(nulls) => &matching & nulls.inner(),
        None => matching,
    })
}

fn nanoseconds(value: i64, unit: TimeUnit) -> i128 {
    i128::from(value) * i128::from(units(unit).1)
}

fn compare<T: PartialOrd>(
    rows: usize,
    value: impl Fn(usize) -> T,
    comparison: Comparison,
    operands: &[T],
) -> BooleanBuffer {
    let Some(first) = operands.first() else { return BooleanBuffer::new_unset(rows) };
    // Operands are sorted.
    let contains = |value: &T| {
        let position = operands.partition_point(|operand| operand < value);
        operands.get(position).is_some_and(|operand| operand == value)
    };
    match comparison {
        Comparison::Equals => BooleanBuffer::collect_bool(rows, |row| value(row) == *first),
        Comparison::NotEquals => BooleanBuffer::collect_bool(rows, |row| value(row) != *first),
        Comparison::Less => BooleanBuffer::collect_bool(rows, |row| value(row) < *first),
        Comparison::LessOrEqual => BooleanBuffer::collect_bool(rows, |row| value(row) <= *first),
        Comparison::Greater => BooleanBuffer::collect_bool(rows, |row| value(row) > *first),
        Comparison::GreaterOrEqual => BooleanBuffer::collect_bool(rows, |row| value(row) >= *first),
        Comparison::In => BooleanBuffer::collect_bool(rows, |row| contains(&value(row))),
        Comparison::NotIn => BooleanBuffer::collect_bool(rows, |row| !contains(&value(row))),
        Comparison::IsNull | Comparison::IsNotNull => BooleanBuffer::new_unset(rows),
    }
}
