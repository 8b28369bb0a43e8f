//! Encodes the rows of a unit as row groups of Parquet files.
//!
//! Row groups have the same size whatever the row groups of the source and the filters: rows that do not fill one go to
//! the next unit with its position.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::dictionary::repeats;
use super::halt::Halt;
use super::job::{Job, TablePlan};
use super::piece::{Piece, PieceSender};
use super::position::{FileLimits, Group, HandOver, Position};
use super::rows::Rows;
use super::settings::ParquetCompression;
use crate::delivery::DeliveryError;
use crate::model::{FailureCode, Transform};

/// Rows of a row group.
const GROUP_ROWS: u64 = 131_072;
/// Bytes of the values of a row group, about.
const GROUP_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of the values of a unit that wait for its position, at most. More are encoded when it is known.
const MAX_WAITING_BYTES: u64 = 12 * 1024 * 1024;

/// How the Parquet files of a table are made.
pub struct GroupFormat {
    schema: Arc<Schema>,
    properties: WriterProperties,
    with_dictionaries: ArrowRowGroupWriterFactory,
    without_dictionaries: ArrowRowGroupWriterFactory,
    limits: FileLimits,
}

impl GroupFormat {
    /// The format of a table.
    pub fn new(job: &Job, plan: &TablePlan, compression: ParquetCompression) -> Result<Self, DeliveryError> {
        let compression = match compression {
            ParquetCompression::None => Compression::UNCOMPRESSED,
            ParquetCompression::Snappy => Compression::SNAPPY,
            ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        };
        let mut properties =
            WriterProperties::builder().set_compression(compression).set_created_by("outflow".to_owned());
        for column in plan.columns.iter().filter(|column| column.transform != Transform::None) {
            // The range of digests excludes no row group, and Snappy does not make them smaller.
            let path = ColumnPath::new(vec![column.name.clone()]);
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            if compression == Compression::SNAPPY {
                properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
            }
        }
        let schema = Arc::new(plan.output_schema());
        let without = properties.clone().set_dictionary_enabled(false).build();
        let (_, without_dictionaries) = serialized(&schema, &without).map_err(fault)?;
        let properties = properties.build();
        let (_, with_dictionaries) = serialized(&schema, &properties).map_err(fault)?;
        let limits =
            FileLimits { rows: job.encoding.max_rows_per_file, bytes: job.encoding.max_bytes_per_file, start_bytes: 0 };
        Ok(Self { schema, properties, with_dictionaries, without_dictionaries, limits })
    }

    /// A writer for a file.
    pub fn writer(&self) -> Result<SerializedFileWriter<Vec<u8>>, DeliveryError> {
        serialized(&self.schema, &self.properties).map(|(writer, _)| writer).map_err(fault)
    }

    /// Encodes column by column, and frees the values of each.
    fn encode(&self, group: Group) -> Result<Vec<ArrowColumnChunk>, DeliveryError> {
        let mut parts: Vec<_> = group.parts.into_iter().map(|part| part.columns.into_iter()).collect();
        let with_dictionaries = self.with_dictionaries.create_column_writers(0).map_err(fault)?;
        let without_dictionaries = self.without_dictionaries.create_column_writers(0).map_err(fault)?;
        let writers = with_dictionaries.into_iter().zip(without_dictionaries);
        let columns = self.schema.fields().iter().zip(writers).map(|(field, (with_dictionary, without_dictionary))| {
            let column: Vec<ArrayRef> = parts.iter_mut().filter_map(Iterator::next).collect();
            let writer = if repeats(&column)? { with_dictionary } else { without_dictionary };
            encode_column(field, writer, column).map_err(fault)
        });
        columns.collect()
    }
}

fn encode_column(
    field: &Field,
    mut writer: ArrowColumnWriter,
    parts: Vec<ArrayRef>,
) -> Result<ArrowColumnChunk, ParquetError> {
    for part in parts {
        for leaf in compute_leaves(field, &part)? {
            writer.write(&leaf)?;
        }
    }
    writer.close()
}

/// A writer of a file, and the encoder of its row groups. The Arrow schema is not stored: the types of Parquet say all.
fn serialized(
    schema: &Arc<Schema>,
    properties: &WriterProperties,
) -> Result<(SerializedFileWriter<Vec<u8>>, ArrowRowGroupWriterFactory), ParquetError> {
    let options = ArrowWriterOptions::new().with_properties(properties.clone()).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), options)?.into_serialized_writer()
}

/// An error of the Parquet writer.
pub fn fault(cause: ParquetError) -> DeliveryError {
    DeliveryError::with(FailureCode::Internal, "cannot write Parquet", cause)
}

/// Encodes the rows of a unit.
pub struct GroupSink<'a> {
    format: &'a GroupFormat,
    waiting: Vec<Rows>,
    waiting_bytes: u64,
    hand_over: HandOver,
}

impl<'a> GroupSink<'a> {
    /// A sink for a unit.
    pub fn new(format: &'a GroupFormat, hand_over: HandOver) -> Self {
        Self { format, waiting: Vec::new(), waiting_bytes: 0, hand_over }
    }

    /// Takes rows.
    pub fn push(&mut self, rows: Rows, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        self.waiting_bytes += rows.bytes();
        self.waiting.push(rows);
        if self.waiting_bytes >= MAX_WAITING_BYTES {
            for group in self.cut(sender)? {
                self.send(group, sender)?;
            }
        }
        Ok(())
    }

    /// Encodes the row groups that are full, and after the last unit of the table the one that is not.
    pub fn finish(mut self, is_last: bool, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        let mut groups = self.cut(sender)?;
        if is_last {
            groups.push(std::mem::take(&mut self.hand_over.wait(&mut sender.turn)?.group));
        }
        self.hand_over.pass();
        for group in groups.into_iter().filter(|group| group.rows > 0) {
            self.send(group, sender)?;
        }
        Ok(())
    }

    /// Divides what waits into row groups and files. Returns the groups that are complete.
    fn cut(&mut self, sender: &mut PieceSender<'_>) -> Result<Vec<Group>, Halt> {
        self.waiting_bytes = 0;
        let position = self.hand_over.wait(&mut sender.turn)?;
        let mut complete = Vec::new();
        for rows in self.waiting.drain(..) {
            divide(position, &self.format.limits, &rows, &mut complete);
        }
        Ok(complete)
    }

    fn send(&self, group: Group, sender: &mut PieceSender<'_>) -> Result<(), Halt> {
        if group.starts_file {
            sender.send(Piece::NextFile)?;
        }
        let rows = group.rows;
        let columns = self.format.encode(group)?;
        sender.send(Piece::Group { columns, rows })
    }
}

/// Adds rows to the row group of a position; moves each group that is complete to `complete`.
fn divide(position: &mut Position, limits: &FileLimits, rows: &Rows, complete: &mut Vec<Group>) {
    // Only a limit of bytes needs the size of each row.
    let average = rows.bytes() / rows.count.max(1) as u64;
    let sizes = if limits.bytes.is_some() { rows.row_bytes() } else { Vec::new() };
    let mut start = 0;
    for row in 0..rows.count {
        let bytes = sizes.get(row).copied().unwrap_or(average);
        let starts_file = position.add_row(bytes, limits);
        let group = &mut position.group;
        if starts_file || group.rows >= GROUP_ROWS || group.bytes >= GROUP_BYTES {
            group.add(rows, start, row);
            start = row;
            complete.push(std::mem::replace(group, Group { starts_file, ..Group::default() }));
        }
        group.rows += 1;
        group.bytes += bytes;
    }
    position.group.add(rows, start, rows.count);
}

impl Group {
    fn add(&mut self, rows: &Rows, start: usize, end: usize) {
        if start < end {
            self.parts.push(rows.slice(start, end - start));
        }
    }
}
