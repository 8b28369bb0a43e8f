//! Skips row groups of Parquet files in which no row can match, by their statistics.

use arrow::array::{Array as _, ArrayRef, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::operand::Operands;
use super::predicate::{Predicate, evaluate};
use crate::delivery::DeliveryError;
use crate::delivery::engine::column::{Column, Values};
use crate::delivery::engine::types::convert;
use crate::model::{Comparison, FailureCode};

/// Whether each row group of a file can have rows for which a comparison of the field `name` is true. Without statistics
/// it can. `data_type` is the canonical type of the field.
pub fn row_groups(
    predicate: &Predicate,
    name: &str,
    data_type: &DataType,
    schema: &Schema,
    metadata: &ParquetMetaData,
) -> Result<BooleanBuffer, DeliveryError> {
    let count = metadata.num_row_groups();
    let parquet_schema = metadata.file_metadata().schema_descr();
    let fault = |cause: ParquetError| DeliveryError::with(FailureCode::SourceChanged, "unexpected statistics", cause);
    let statistics = StatisticsConverter::try_new(name, schema, parquet_schema).map_err(fault)?;
    let Some(column) = statistics.parquet_column_index() else {
        return Ok(BooleanBuffer::new_set(count));
    };
    let statistics = statistics.with_missing_null_counts_as_zero(false);
    let groups = || metadata.row_groups().iter();
    let nulls = statistics.row_group_null_counts(groups()).map_err(fault)?;
    let by_nulls = possible_by_nulls(predicate.comparison, &nulls, metadata);
    let Some((minimum, maximum)) = bounds(predicate) else { return Ok(by_nulls) };
    let minima = statistics.row_group_mins(groups()).map_err(fault)?;
    let maxima = statistics.row_group_maxes(groups()).map_err(fault)?;
    let is_usable = |index: usize| {
        let found = metadata.row_group(index).column(column).statistics();
        found.is_some_and(|found| !found.is_min_max_deprecated())
    };
    let usable = BooleanBuffer::collect_bool(count, is_usable);
    let mut possible = by_nulls;
    for (values, test) in [(minima, minimum), (maxima, maximum)] {
        if let Some((comparison, operands)) = test {
            possible = &possible & &possible_by_bound(name, &values, data_type, comparison, &operands, &usable)?;
        }
    }
    Ok(possible)
}

type Test = Option<(Comparison, Operands)>;

/// What must hold for the minimum and the maximum of a row group; `None`: the statistics say nothing.
fn bounds(predicate: &Predicate) -> Option<(Test, Test)> {
    use Comparison::{Equals, Greater, GreaterOrEqual, In, IsNotNull, IsNull, Less, LessOrEqual, NotEquals, NotIn};
    let operands = || predicate.operands.clone();
    match predicate.comparison {
        Less | LessOrEqual => Some((Some((predicate.comparison, operands())), None)),
        Greater | GreaterOrEqual => Some((None, Some((predicate.comparison, operands())))),
        Equals | In => {
            let highest = predicate.operands.last();
            Some((Some((LessOrEqual, highest)), Some((GreaterOrEqual, operands()))))
        }
        NotEquals | NotIn | IsNull | IsNotNull => None,
    }
}

fn possible_by_nulls(comparison: Comparison, nulls: &UInt64Array, metadata: &ParquetMetaData) -> BooleanBuffer {
    BooleanBuffer::collect_bool(nulls.len(), |index| {
        if nulls.is_null(index) {
            return true;
        }
        let rows = u64::try_from(metadata.row_group(index).num_rows()).unwrap_or(u64::MAX);
        if comparison == Comparison::IsNull { nulls.value(index) > 0 } else { nulls.value(index) < rows }
    })
}

/// A bound that is unknown, or is NaN, excludes nothing.
fn possible_by_bound(
    name: &str,
    values: &ArrayRef,
    data_type: &DataType,
    comparison: Comparison,
    operands: &Operands,
    usable: &BooleanBuffer,
) -> Result<BooleanBuffer, DeliveryError> {
    let values = convert(name, values, data_type)?;
    let column = Column::new(&values)?;
    let is_unknown = |index: usize| {
        let is_nan = matches!(&column.values, Values::Float(values) if values.value(index).is_nan())
            || matches!(&column.values, Values::Double(values) if values.value(index).is_nan());
        is_nan || column.is_null(index) || !usable.value(index)
    };
    let unknown = BooleanBuffer::collect_bool(values.len(), is_unknown);
    Ok(&unknown | &evaluate(&column, values.len(), comparison, operands)?)
}
