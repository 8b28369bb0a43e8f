//! Divides a table into units.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::block::RowBlock;
use super::parquet::{ParquetBlocks, ParquetUnit, ParquetUnits, UnitSizes};
use super::sequential::{Batches, TextBatches, TextFormat};
use crate::delivery::DeliveryError;
use crate::delivery::datasets::TableContent;
use crate::delivery::engine::halt::Halt;
use crate::delivery::engine::job::TablePlan;
use crate::delivery::engine::outputs::Outputs;

/// Rows of a batch: few enough that its columns stay in the cache of a core.
const BATCH_ROWS: usize = 4_096;
/// Bytes of a batch of a text file that the number of its rows aims at.
const TEXT_BATCH_BYTES: u64 = 1024 * 1024;
/// Bytes of a row of a text file, if the source has no estimate.
const DEFAULT_ROW_BYTES: u64 = 256;

/// How much of a table is read, and in which portions. Portions do not depend on the number of threads.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Rows of a unit, about.
    pub unit_rows: usize,
    /// Bytes of the values of a unit, about.
    pub unit_bytes: u64,
    /// Rows of a batch, at most.
    pub batch_rows: usize,
    /// Rows of the table that are read, at most, rounded up to whole units.
    pub scan_rows: u64,
}

impl ReadLimits {
    /// Reads the whole table.
    pub fn complete(unit_rows: usize, unit_bytes: u64) -> Self {
        Self { unit_rows, unit_bytes, batch_rows: BATCH_ROWS, scan_rows: u64::MAX }
    }

    /// Reads the first rows until `scan_rows` were tested.
    pub fn first(rows: usize, scan_rows: u64) -> Self {
        let unit_rows = BATCH_ROWS.max(rows);
        Self { unit_rows, unit_bytes: u64::MAX, batch_rows: BATCH_ROWS.min(rows.max(64)), scan_rows }
    }
}

/// The units of a table, in order.
pub struct Units {
    content: Content,
    limits: ReadLimits,
    taken_rows: u64,
}

enum Content {
    Parquet(ParquetUnits),
    Sequential(Arc<TablePlan>, Batches),
}

/// Some consecutive rows of a table.
pub enum Unit {
    /// Still to be read.
    Parquet(ParquetUnit),
    /// Read already; to be filtered.
    Batches(Arc<TablePlan>, Vec<RecordBatch>),
}

/// The rows of a unit.
pub enum Blocks {
    /// From a Parquet file.
    Parquet(Box<ParquetBlocks>),
    /// From batches.
    Batches(Arc<TablePlan>, std::vec::IntoIter<RecordBatch>),
}

impl Units {
    /// The units of a table.
    pub fn new(plan: &Arc<TablePlan>, content: TableContent, limits: ReadLimits) -> Self {
        let row_bytes = plan.estimated_row_bytes.unwrap_or(DEFAULT_ROW_BYTES).max(1);
        let batch_rows =
            usize::try_from(TEXT_BATCH_BYTES / row_bytes).unwrap_or(1).clamp(16, limits.batch_rows.max(16));
        let text = |format, files| {
            Content::Sequential(
                Arc::clone(plan),
                Batches::Text(TextBatches::new(Arc::clone(plan), format, files, batch_rows)),
            )
        };
        let content = match content {
            TableContent::Parquet(files) => {
                let ReadLimits { unit_rows, unit_bytes, batch_rows, .. } = limits;
                let sizes = UnitSizes { unit_rows, unit_bytes, batch_rows };
                Content::Parquet(ParquetUnits::new(Arc::clone(plan), files, sizes))
            }
            TableContent::Csv(files) => text(TextFormat::Csv, files),
            TableContent::JsonLines(files) => text(TextFormat::JsonLines, files),
            TableContent::Rows(source) => Content::Sequential(Arc::clone(plan), Batches::Rows(source)),
        };
        Self { content, limits, taken_rows: 0 }
    }

    /// Whether [`Self::next_unit`] computes: it parses text. Otherwise it waits for a source, or does little.
    pub fn computes(&self) -> bool {
        matches!(self.content, Content::Sequential(_, Batches::Text(_)))
    }

    /// The next unit.
    pub fn next_unit(&mut self, outputs: &Outputs) -> Result<Option<Unit>, Halt> {
        if self.taken_rows >= self.limits.scan_rows {
            return Ok(None);
        }
        let unit = match &mut self.content {
            Content::Parquet(units) => units.next_unit()?.map(Unit::Parquet),
            Content::Sequential(plan, batches) => {
                let bytes = usize::try_from(self.limits.unit_bytes).unwrap_or(usize::MAX);
                let batches = batches.next_batches(self.limits.unit_rows, bytes, outputs)?;
                (!batches.is_empty()).then(|| Unit::Batches(Arc::clone(plan), batches))
            }
        };
        self.taken_rows += unit.as_ref().map_or(0, Unit::rows);
        Ok(unit)
    }
}

impl Unit {
    /// Number of rows, before filters.
    pub fn rows(&self) -> u64 {
        match self {
            Self::Parquet(unit) => unit.rows() as u64,
            Self::Batches(_, batches) => batches.iter().map(|batch| batch.num_rows() as u64).sum(),
        }
    }

    /// Begins to read the rows.
    pub fn open(self) -> Result<Blocks, DeliveryError> {
        Ok(match self {
            Self::Parquet(unit) => Blocks::Parquet(Box::new(unit.open()?)),
            Self::Batches(plan, batches) => Blocks::Batches(plan, batches.into_iter()),
        })
    }
}

impl Blocks {
    /// The next rows that match the filters.
    pub fn next_block(&mut self) -> Result<Option<RowBlock>, DeliveryError> {
        match self {
            Self::Parquet(blocks) => blocks.next_block(),
            Self::Batches(plan, batches) => batches.next().map(|batch| RowBlock::matching(plan, &batch)).transpose(),
        }
    }
}
