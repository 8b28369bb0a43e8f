//! Parquet files: units are row groups or ranges of their rows.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Field;
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowFilter, RowSelection, RowSelector,
};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};

use super::block::{RowBlock, matching_rows};
use super::file::TrackedFile;
use crate::delivery::DeliveryError;
use crate::delivery::datasets::{SourceFile, common_type};
use crate::delivery::engine::filter;
use crate::delivery::engine::job::TablePlan;
use crate::delivery::engine::types::canonical;
use crate::model::FailureCode;

/// Bytes of a batch in memory that row counts aim at.
const BATCH_BYTES: u64 = 1024 * 1024;
/// Fewest rows of a batch.
const MIN_BATCH_ROWS: usize = 16;
/// Fewest rows of a unit.
const MIN_UNIT_ROWS: usize = 1_024;

/// Divides Parquet files into units.
pub struct ParquetUnits {
    plan: Arc<TablePlan>,
    files: std::vec::IntoIter<SourceFile>,
    pending: VecDeque<ParquetUnit>,
    sizes: UnitSizes,
}

/// How large units are.
#[derive(Clone, Copy)]
pub struct UnitSizes {
    /// Rows of a unit, about.
    pub unit_rows: usize,
    /// Bytes of the values of a unit, about.
    pub unit_bytes: u64,
    /// Rows of a batch, at most.
    pub batch_rows: usize,
}

/// A file with its footer, and what to read from it.
struct OpenFile {
    plan: Arc<TablePlan>,
    file: TrackedFile,
    metadata: ArrowReaderMetadata,
    output: ProjectionMask,
    tested: ProjectionMask,
}

/// Some whole row groups of a file, or a range of the rows of one.
pub struct ParquetUnit {
    file: Arc<OpenFile>,
    row_groups: Vec<usize>,
    skip: usize,
    rows: usize,
    batch_rows: usize,
}

/// The rows of a unit.
pub struct ParquetBlocks {
    file: Arc<OpenFile>,
    reader: ParquetRecordBatchReader,
}

impl ParquetUnits {
    /// The units of some files.
    pub fn new(plan: Arc<TablePlan>, files: Vec<SourceFile>, sizes: UnitSizes) -> Self {
        Self { plan, files: files.into_iter(), pending: VecDeque::new(), sizes }
    }

    /// The next unit. Reads the footer of the next file if needed.
    pub fn next_unit(&mut self) -> Result<Option<ParquetUnit>, DeliveryError> {
        loop {
            if let Some(unit) = self.pending.pop_front() {
                return Ok(Some(unit));
            }
            let Some(file) = self.files.next() else { return Ok(None) };
            let file = Arc::new(OpenFile::open(&self.plan, file)?);
            let selected = file.row_groups()?;
            let groups: Vec<usize> = selected.set_indices().collect();
            self.pending = divide(&file, &groups, self.sizes);
        }
    }
}

/// Divides row groups into units: large ones into equal ranges, neighbouring small ones joined.
fn divide(file: &Arc<OpenFile>, groups: &[usize], sizes: UnitSizes) -> VecDeque<ParquetUnit> {
    let mut units = VecDeque::new();
    let unit =
        |row_groups, skip, rows, batch_rows| ParquetUnit { file: Arc::clone(file), row_groups, skip, rows, batch_rows };
    let (mut joined, mut joined_rows, mut joined_batch) = (Vec::new(), 0, usize::MAX);
    for group in groups {
        let metadata = file.metadata.metadata().row_group(*group);
        let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let row_bytes = file.row_bytes(metadata);
        let limit = rows_of(sizes.unit_bytes, row_bytes).clamp(MIN_UNIT_ROWS.min(sizes.unit_rows), sizes.unit_rows);
        let batch_rows = rows_of(BATCH_BYTES, row_bytes).clamp(MIN_BATCH_ROWS.min(sizes.batch_rows), sizes.batch_rows);
        if joined_rows > 0 && joined_rows + rows > limit {
            units.push_back(unit(std::mem::take(&mut joined), 0, joined_rows, joined_batch));
            (joined_rows, joined_batch) = (0, usize::MAX);
        }
        if rows <= limit {
            joined.push(*group);
            joined_rows += rows;
            joined_batch = joined_batch.min(batch_rows);
            continue;
        }
        let length = rows.div_ceil(rows.div_ceil(limit));
        for skip in (0..rows).step_by(length) {
            units.push_back(unit(vec![*group], skip, length.min(rows - skip), batch_rows));
        }
    }
    if joined_rows > 0 {
        units.push_back(unit(joined, 0, joined_rows, joined_batch));
    }
    units
}

fn rows_of(bytes: u64, row_bytes: u64) -> usize {
    usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX)
}

impl OpenFile {
    fn open(plan: &Arc<TablePlan>, file: SourceFile) -> Result<Self, DeliveryError> {
        let file = TrackedFile::new(file);
        // The offset index lets a range of rows skip pages without reading their headers.
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options)
            .map_err(|cause| file.error(FailureCode::SourceChanged, &format!("not a Parquet file: {cause}")))?;
        let mask = |is_wanted: &dyn Fn(usize) -> bool| {
            let wanted = plan.read.iter().enumerate().filter(|(index, _)| is_wanted(*index));
            let indices = wanted.filter_map(|(_, field)| metadata.schema().index_of(&field.name).ok());
            ProjectionMask::roots(metadata.parquet_schema(), indices)
        };
        let output = mask(&|index| index < plan.output_fields);
        let tested = mask(&|index| plan.predicates.iter().any(|predicate| predicate.field == index));
        let opened = Self { plan: Arc::clone(plan), output, tested, file, metadata };
        opened.check_types()?;
        Ok(opened)
    }

    /// A file can lack a field, and can have it with a type whose values are converted to that of the table without loss.
    fn check_types(&self) -> Result<(), DeliveryError> {
        for field in &self.plan.read {
            let found = self.metadata.schema().field_with_name(&field.name).ok();
            let is_readable = |found: &Field| {
                let common = common_type(found.data_type(), &field.data_type);
                [canonical(found.data_type()), common].contains(&Some(field.data_type.clone()))
            };
            if let Some(found) = found.filter(|found| !is_readable(found)) {
                let detail =
                    format!("field `{}` has the type {}, expected {}", field.name, found.data_type(), field.data_type);
                return Err(self.file.error(FailureCode::FieldTypeChanged, &detail));
            }
        }
        Ok(())
    }

    /// The row groups that can have matching rows.
    fn row_groups(&self) -> Result<BooleanBuffer, DeliveryError> {
        let metadata = self.metadata.metadata();
        let has_rows = |index: usize| metadata.row_group(index).num_rows() > 0;
        let mut selected = BooleanBuffer::collect_bool(metadata.num_row_groups(), has_rows);
        for predicate in &self.plan.predicates {
            let field = &self.plan.read[predicate.field];
            if self.metadata.schema().index_of(&field.name).is_ok() {
                let schema = self.metadata.schema();
                let possible = filter::row_groups(predicate, &field.name, &field.data_type, schema, metadata)?;
                selected = &selected & &possible;
            }
        }
        Ok(selected)
    }

    /// Bytes of a row of the output in memory, about.
    fn row_bytes(&self, group: &RowGroupMetaData) -> u64 {
        let is_read = |(index, _): &(usize, _)| self.output.leaf_included(*index);
        let columns = group.columns().iter().enumerate().filter(is_read);
        let bytes: i64 = columns.map(|(_, column)| column.uncompressed_size()).sum();
        // Dictionaries make columns smaller than their values; a value has several bytes in any case.
        let least = 8 * self.plan.output_fields as u64;
        u64::try_from(bytes / group.num_rows().max(1)).unwrap_or(0).max(least)
    }

    /// The error of a predicate or of a read, if there is one among the causes.
    fn error(&self, cause: &(dyn Error + 'static)) -> DeliveryError {
        let mut next = Some(cause);
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref::<DeliveryError>() {
                return DeliveryError::new(found.code, found.detail.clone());
            }
            next = cause.source();
        }
        self.file.error(FailureCode::SourceChanged, &format!("cannot decode: {cause}"))
    }
}

impl ParquetUnit {
    /// Number of rows, before filters.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Begins to read the rows.
    pub fn open(self) -> Result<ParquetBlocks, DeliveryError> {
        let file = self.file;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file.file.clone(), file.metadata.clone())
            .with_batch_size(self.batch_rows)
            .with_projection(file.output.clone());
        let all: i64 = self.row_groups.iter().map(|group| file.metadata.metadata().row_group(*group).num_rows()).sum();
        if self.skip > 0 || usize::try_from(all) != Ok(self.rows) {
            let range = vec![RowSelector::skip(self.skip), RowSelector::select(self.rows)];
            builder = builder.with_row_selection(RowSelection::from(range));
        }
        if !file.plan.predicates.is_empty() {
            let plan = Arc::clone(&file.plan);
            let test = move |batch| match matching_rows(&plan, &batch) {
                Ok(selected) => Ok(BooleanArray::new(selected, None)),
                Err(error) => Err(ArrowError::ExternalError(Box::new(error))),
            };
            let predicate = ArrowPredicateFn::new(file.tested.clone(), test);
            builder = builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]));
        }
        let reader = builder.with_row_groups(self.row_groups).build().map_err(|cause| file.error(&cause))?;
        Ok(ParquetBlocks { file, reader })
    }
}

impl ParquetBlocks {
    /// The next rows.
    pub fn next_block(&mut self) -> Result<Option<RowBlock>, DeliveryError> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|cause| self.file.error(&cause))?;
        RowBlock::of_matching(&self.file.plan, &batch).map(Some)
    }
}
