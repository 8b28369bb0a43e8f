//! Assembles files from the pieces of units, and sends them to the consumer with their sizes and digests.

use std::sync::mpsc::Receiver;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::compression::Compressor;
use super::group_sink::fault;
use super::halt::Halt;
use super::job::{Job, PreviewLimit, TablePlan};
use super::outputs::Outputs;
use super::piece::Piece;
use super::text::hexadecimal;
use super::text_sink::CHUNK_BYTES;
use super::worker::{Format, Table};
use crate::delivery::{Chunk, DeliveryError, FileSummary, Output, OutputFile};
use crate::model::FailureCode;

/// Maximum number of columns of all row groups of a Parquet file together.
const MAX_COLUMN_CHUNKS: usize = 65_536;

/// Files of a job, at most: their summaries are kept until its end.
pub const MAX_FILES: u64 = 10_000;

/// What remains of the limits of a job.
pub struct Remaining {
    /// Files.
    pub files: u64,
    /// Bytes of a preview.
    pub bytes: u64,
}

/// Assembles the files of a table.
pub struct Assembler<'a> {
    job: &'a Job,
    table: &'a Table,
    outputs: &'a Outputs,
    remaining: &'a mut Remaining,
    remaining_rows: u64,
    index: u64,
    file: Option<File>,
    compressor: Compressor,
}

/// A file that is being written.
#[expect(clippy::struct_field_names, reason = "the file as the consumer knows it")]
struct File {
    file: OutputFile,
    rows: u64,
    bytes: u64,
    digest: Context,
    parquet: Option<SerializedFileWriter<Vec<u8>>>,
}

impl<'a> Assembler<'a> {
    /// An assembler of the files of a table.
    pub fn new(
        job: &'a Job,
        table: &'a Table,
        outputs: &'a Outputs,
        remaining: &'a mut Remaining,
    ) -> Result<Self, DeliveryError> {
        let compressor = match &table.format {
            Format::Text(format) => format.compressor()?,
            Format::Parquet(_) => Compressor::None,
        };
        let remaining_rows = job.limit.map_or(u64::MAX, |limit: PreviewLimit| limit.rows);
        Ok(Self { job, table, outputs, remaining, remaining_rows, index: 0, file: None, compressor })
    }

    /// Starts the first file. Returns whether rows are wanted; those of a preview may have used up its bytes.
    pub fn start(&mut self) -> Result<bool, Halt> {
        self.start_file()?;
        Ok(self.remaining_rows > 0 && self.remaining.bytes > 0)
    }

    /// Assembles the output of all units, in order, or as many as a preview needs.
    pub fn assemble(&mut self, units: &Receiver<Receiver<Piece>>) -> Result<(), Halt> {
        for pieces in units {
            loop {
                match pieces.recv() {
                    Ok(Piece::Data { bytes, rows }) => {
                        if self.remaining_rows == 0 || bytes.len() as u64 > self.remaining.bytes {
                            return Ok(());
                        }
                        self.remaining_rows = self.remaining_rows.saturating_sub(rows);
                        self.write(bytes, rows)?;
                    }
                    Ok(Piece::Group { columns, rows }) => self.write_group(columns, rows)?,
                    Ok(Piece::NextFile) => {
                        self.finish()?;
                        self.start_file()?;
                    }
                    Ok(Piece::Failed(error)) => return Err(error.into()),
                    Ok(Piece::End { is_last: true }) => return Ok(()),
                    Ok(Piece::End { is_last: false }) => break,
                    Err(_) => return Err(self.interrupted()),
                }
            }
        }
        Err(self.interrupted())
    }

    /// Why the output of workers ends too early.
    fn interrupted(&self) -> Halt {
        if self.outputs.is_stopped() {
            Halt::Stopped
        } else {
            DeliveryError::new(FailureCode::Internal, "a worker panicked").into()
        }
    }

    fn start_file(&mut self) -> Result<(), Halt> {
        if self.remaining.files == 0 {
            let detail = format!("the limits per file make more than {MAX_FILES} files");
            return Err(DeliveryError::new(FailureCode::LimitExceeded, detail).into());
        }
        self.remaining.files -= 1;
        let plan: &TablePlan = &self.table.plan;
        let file = self.job.file(plan, self.index);
        self.index += 1;
        let parquet = match &self.table.format {
            Format::Text(_) => None,
            Format::Parquet(format) => Some(format.writer()?),
        };
        self.outputs.send(Output::File(file.clone()))?;
        self.file = Some(File { file, rows: 0, bytes: 0, digest: Context::new(&SHA256), parquet });
        if let Format::Text(format) = &self.table.format
            && !format.file_start.is_empty()
            && format.file_start.len() as u64 <= self.remaining.bytes
        {
            let start = self.compressor.compress(format.file_start.clone())?;
            self.write(start, 0)?;
        }
        Ok(())
    }

    /// Completes the current file.
    pub fn finish(&mut self) -> Result<(), Halt> {
        if let Some(parquet) = self.file.as_mut().and_then(|file| file.parquet.take()) {
            self.write(parquet.into_inner().map_err(fault)?, 0)?;
        }
        if let (Format::Text(format), Some(File { bytes: 0, .. })) = (&self.table.format, &self.file)
            && format.is_compressed()
        {
            // Decompressors do not take an empty file for a compressed empty text.
            let empty = self.compressor.compress(Vec::new())?;
            self.write(empty, 0)?;
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let mut sha256 = Vec::new();
        hexadecimal(&mut sha256, file.digest.finish().as_ref());
        self.outputs.send(Output::EndOfFile(FileSummary {
            path: file.file.path,
            table: file.file.table,
            rows: file.rows,
            bytes: file.bytes,
            sha256: String::from_utf8_lossy(&sha256).into_owned(),
        }))
    }

    fn write_group(&mut self, columns: Vec<ArrowColumnChunk>, rows: u64) -> Result<(), Halt> {
        let writer = self.file.as_mut().and_then(|file| file.parquet.as_mut());
        let Some(writer) = writer else {
            return Err(DeliveryError::new(FailureCode::Internal, "no Parquet file").into());
        };
        check_chunks(writer.flushed_row_groups().len() + 1, columns.len())?;
        let bytes = append(writer, columns).map_err(fault)?;
        self.write(bytes, rows)
    }

    /// Sends bytes of the current file, in chunks. The rows count with the last one.
    fn write(&mut self, bytes: Vec<u8>, rows: u64) -> Result<(), Halt> {
        self.remaining.bytes = self.remaining.bytes.saturating_sub(bytes.len() as u64);
        let mut bytes = Bytes::from(bytes);
        if let Some(file) = &mut self.file {
            file.rows += rows;
            file.bytes += bytes.len() as u64;
            file.digest.update(&bytes);
        }
        // A chunk of text exceeds the size by a row at most, and is not divided.
        let max_bytes = match self.table.format {
            Format::Text(_) => usize::MAX,
            Format::Parquet(_) => CHUNK_BYTES,
        };
        while bytes.len() > max_bytes {
            self.outputs.send(Output::Chunk(Chunk { bytes: bytes.split_to(max_bytes), rows: 0 }))?;
        }
        self.outputs.send(Output::Chunk(Chunk { bytes, rows }))
    }
}

/// The writer holds what the end of the file says of each column of each row group, some hundred bytes.
fn check_chunks(row_groups: usize, columns: usize) -> Result<(), DeliveryError> {
    if row_groups.saturating_mul(columns) <= MAX_COLUMN_CHUNKS {
        return Ok(());
    }
    let detail = format!(
        "a Parquet file with {columns} columns has more than {MAX_COLUMN_CHUNKS} column chunks; set max_rows_per_file or \
         max_bytes_per_file"
    );
    Err(DeliveryError::new(FailureCode::LimitExceeded, detail))
}

/// Appends a row group, and takes the bytes of it.
fn append(writer: &mut SerializedFileWriter<Vec<u8>>, columns: Vec<ArrowColumnChunk>) -> Result<Vec<u8>, ParquetError> {
    let bytes: u64 = columns.iter().map(|column| column.close().bytes_written).sum();
    writer.inner_mut().reserve(usize::try_from(bytes).unwrap_or(0));
    let mut group = writer.next_row_group()?;
    for column in columns {
        column.append_to_row_group(&mut group)?;
    }
    group.close()?;
    writer.flush()?;
    Ok(std::mem::take(writer.inner_mut()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_chunks_of_a_file_are_limited() {
        assert!(check_chunks(5_461, 12).is_ok() && check_chunks(163, 400).is_ok());
        assert_eq!(check_chunks(164, 400).unwrap_err().code, FailureCode::LimitExceeded);
    }
}
