//! What the engine produces and a destination writes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::FieldType;

/// One step of the output of a run. For each file: `File`, any number of `Chunk`, `EndOfFile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file begins.
    File(OutputFile),
    /// The next bytes of the file.
    Chunk(Chunk),
    /// The file is complete.
    EndOfFile(FileSummary),
}

/// A file of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Path below the folder of the export: segments separated by `/`, made from ids and templates alone.
    pub path: String,
    /// The table whose rows it holds.
    pub table: String,
    /// Output names of the fields, in order.
    pub fields: Vec<String>,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes. Uncompressed CSV and JSON Lines chunks end at the end of a row.
    pub bytes: Bytes,
    /// Rows whose last byte is in this chunk; for Parquet, rows of the row groups that end in it.
    pub rows: u64,
}

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSummary {
    /// Path below the folder of the export.
    pub path: String,
    /// The table whose rows it holds.
    pub table: String,
    /// Number of rows.
    pub rows: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
}

/// Counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Rows read from the datasets, before filters.
    pub rows_read: u64,
    /// Rows written.
    pub rows_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Complete files.
    pub files: u64,
}

/// The format of the rows that a destination takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Files as the settings of the export say.
    Files,
    /// JSON Lines without compression, in one file.
    JsonLines,
    /// CSV as COPY of PostgreSQL reads it, without header and compression, in one file: null is an unquoted empty value,
    /// the empty string is quoted.
    CopyCsv,
}

/// Describes a complete result: the last file that a delivery writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Resource name of the run.
    pub run: String,
    /// Resource name of the export.
    pub export: String,
    /// Time of the run, as in the names of its files (RFC 3339).
    pub time: String,
    /// `csv`, `jsonl` or `parquet`.
    pub format: String,
    /// Whether texts that start like a formula are prefixed.
    pub formula_guard: bool,
    /// The files in the order in which they were written.
    pub files: Vec<FileSummary>,
    /// The fields of each table.
    pub fields: Vec<ManifestField>,
    /// Number of rows in all files.
    pub rows: u64,
    /// Number of bytes of all files.
    pub bytes: u64,
}

impl Manifest {
    /// Adds a complete file, and counts its rows and bytes.
    pub fn add_file(&mut self, file: FileSummary) {
        self.rows += file.rows;
        self.bytes += file.bytes;
        self.files.push(file);
    }
}

/// A field in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestField {
    /// The table.
    pub table: String,
    /// Name in the files.
    pub name: String,
    /// Type of the values, after the transform.
    pub field_type: FieldType,
    /// Transform of the values: `none`, `sha256` or `sha256_normalized`.
    pub transform: String,
}
