//! Rows as they were read: canonical types, filters applied.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;

use crate::delivery::DeliveryError;
use crate::delivery::engine::filter::evaluate_all;
use crate::delivery::engine::job::{ReadField, TablePlan};
use crate::delivery::engine::types::convert;
use crate::model::FailureCode;

/// Some consecutive rows of a table that match its filters.
pub struct RowBlock {
    /// The fields of the output as the plan lists them, with canonical types.
    pub columns: Vec<ArrayRef>,
    /// Number of rows.
    pub rows: usize,
}

impl RowBlock {
    /// The rows of a batch, all of which match.
    pub fn of_matching(plan: &TablePlan, batch: &RecordBatch) -> Result<Self, DeliveryError> {
        let fields = &plan.read[..plan.output_fields];
        let columns = fields.iter().map(|field| column(batch, field)).collect::<Result<_, _>>()?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    /// The rows of a batch that match the filters.
    pub fn matching(plan: &TablePlan, batch: &RecordBatch) -> Result<Self, DeliveryError> {
        let block = Self::of_matching(plan, batch)?;
        if plan.predicates.is_empty() {
            return Ok(block);
        }
        let selected = matching_rows(plan, batch)?;
        let rows = selected.count_set_bits();
        if rows == block.rows {
            return Ok(block);
        }
        let mask = BooleanArray::new(selected, None);
        let fault = |cause| DeliveryError::with(FailureCode::Internal, "cannot filter", cause);
        let filtered = block.columns.iter().map(|column| filter(column, &mask).map_err(fault));
        Ok(Self { columns: filtered.collect::<Result<_, _>>()?, rows })
    }
}

/// Which rows of a batch match all filters.
pub fn matching_rows(plan: &TablePlan, batch: &RecordBatch) -> Result<BooleanBuffer, DeliveryError> {
    evaluate_all(&plan.predicates, batch.num_rows(), |field| column(batch, &plan.read[field]))
}

/// The values of a field. A field that the batch does not have is null.
fn column(batch: &RecordBatch, field: &ReadField) -> Result<ArrayRef, DeliveryError> {
    match batch.column_by_name(&field.name) {
        Some(array) => convert(&field.name, array, &field.data_type),
        None => Ok(Arc::clone(&new_null_array(&field.data_type, batch.num_rows()))),
    }
}
