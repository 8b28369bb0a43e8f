//! Rows of the output, before they are encoded.

use arrow::array::{Array as _, ArrayRef, AsArray as _, GenericByteArray};

use super::job::TablePlan;
use super::source::RowBlock;
use super::transform::{Failure, transform};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// Rows of the output: transforms are applied.
pub struct Rows {
    /// The columns, as the plan lists them.
    pub columns: Vec<ArrayRef>,
    /// Number of rows.
    pub count: usize,
}

impl Rows {
    /// Applies the transforms of a plan.
    pub fn new(plan: &TablePlan, block: &RowBlock) -> Result<Self, DeliveryError> {
        let columns = plan.columns.iter().map(|column| {
            transform(&block.columns[column.field], column.transform).map_err(|failure| match failure {
                Failure::Fault(error) => error,
                Failure::Unencodable(cause) => plan.unencodable(&column.name, cause.0),
            })
        });
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, count: block.rows })
    }

    /// Some consecutive rows.
    pub fn slice(&self, start: usize, count: usize) -> Self {
        Self { columns: self.columns.iter().map(|column| column.slice(start, count)).collect(), count }
    }

    /// Bytes of the values of all rows: fixed widths, and 4 bytes for the length of a text.
    pub fn bytes(&self) -> u64 {
        let variable =
            self.columns.iter().filter_map(|column| offsets(column)).map(|offsets| span(offsets, 0, self.count));
        self.fixed_bytes() * self.count as u64 + variable.sum::<u64>()
    }

    /// Bytes of the values of each row.
    pub fn row_bytes(&self) -> Vec<u64> {
        let mut bytes = vec![self.fixed_bytes(); self.count];
        for offsets in self.columns.iter().filter_map(|column| offsets(column)) {
            for (row, bytes) in bytes.iter_mut().enumerate() {
                *bytes += span(offsets, row, row + 1);
            }
        }
        bytes
    }

    fn fixed_bytes(&self) -> u64 {
        // Texts and bytes have a length of 4 bytes, Boolean values 1 byte.
        let width = |column: &ArrayRef| match column.data_type().primitive_width() {
            Some(width) => width as u64,
            None if offsets(column).is_some() => 4,
            None => 1,
        };
        self.columns.iter().map(width).sum()
    }
}

fn offsets(column: &ArrayRef) -> Option<&[i32]> {
    let texts = column.as_string_opt::<i32>().map(GenericByteArray::value_offsets);
    texts.or_else(|| column.as_binary_opt::<i32>().map(GenericByteArray::value_offsets))
}

fn span(offsets: &[i32], start: usize, end: usize) -> u64 {
    u64::from(offsets[end].abs_diff(offsets[start]))
}

impl TablePlan {
    /// An error about a value of a column.
    pub fn unencodable(&self, column: &str, cause: &str) -> DeliveryError {
        let detail = format!("table `{}`, column `{column}`: {cause}", self.table);
        DeliveryError::new(FailureCode::ValueNotEncodable, detail)
    }
}
