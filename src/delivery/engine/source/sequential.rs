//! Sources that are read from the start to the end: CSV and JSON Lines files, and results of queries. Units are some of
//! their batches: while one thread encodes a unit, another one reads the next.

use std::io::BufReader;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json;

use super::file::{TrackedFile, TrackedReader};
use super::text_values::{BadValue, decode, is_decoded};
use crate::delivery::DeliveryError;
use crate::delivery::datasets::{RowSource, SourceFile};
use crate::delivery::engine::halt::Halt;
use crate::delivery::engine::job::TablePlan;
use crate::delivery::engine::outputs::Outputs;
use crate::model::FailureCode;

/// Bytes that are read from a file at once.
const READ_BYTES: usize = 256 * 1024;
/// UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The batches of text files, one file after the other.
pub struct TextBatches {
    plan: Arc<TablePlan>,
    format: TextFormat,
    files: std::vec::IntoIter<SourceFile>,
    current: Option<(TrackedFile, Box<dyn RecordBatchReader + Send>)>,
    batch_rows: usize,
}

/// The format of text files.
#[derive(Clone, Copy)]
pub enum TextFormat {
    /// CSV with a header.
    Csv,
    /// JSON Lines.
    JsonLines,
}

impl TextBatches {
    /// The batches of files.
    pub fn new(plan: Arc<TablePlan>, format: TextFormat, files: Vec<SourceFile>, batch_rows: usize) -> Self {
        Self { plan, format, files: files.into_iter(), current: None, batch_rows }
    }

    fn open(&self, file: SourceFile) -> Result<(TrackedFile, Box<dyn RecordBatchReader + Send>), DeliveryError> {
        let file = TrackedFile::new(file);
        let start = if file.starts_with(BYTE_ORDER_MARK)? { BYTE_ORDER_MARK.len() as u64 } else { 0 };
        let reader = match self.format {
            TextFormat::Csv => self.open_csv(&file, start)?,
            TextFormat::JsonLines => self.open_json(&file, start)?,
        };
        Ok((file, reader))
    }

    /// Columns are found by the names in the header; those of the header that the plan does not need are not parsed.
    fn open_csv(&self, file: &TrackedFile, start: u64) -> Result<Box<dyn RecordBatchReader + Send>, DeliveryError> {
        let not_csv = |_| file.error(FailureCode::SourceChanged, "the header is not valid CSV");
        let format = csv::reader::Format::default().with_header(true);
        let (header, _) = format.infer_schema(buffered(file.reader(start)), Some(0)).map_err(not_csv)?;
        let names: Vec<&str> = header.fields().iter().map(|field| field.name().as_str()).collect();
        let mut projection = Vec::new();
        for field in &self.plan.read {
            let Some(index) = names.iter().position(|name| *name == field.name) else {
                return Err(file.error(FailureCode::FieldMissing, &format!("the header has no field `{}`", field.name)));
            };
            projection.push(index);
        }
        let fields: Vec<Field> = names.iter().map(|name| self.field(name)).collect();
        let builder = csv::ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_header(true)
            .with_batch_size(self.batch_rows)
            .with_projection(projection);
        Ok(Box::new(builder.build_buffered(buffered(file.reader(start))).map_err(not_csv)?))
    }

    fn open_json(&self, file: &TrackedFile, start: u64) -> Result<Box<dyn RecordBatchReader + Send>, DeliveryError> {
        let fields: Vec<Field> = self.plan.read.iter().map(|field| self.field(&field.name)).collect();
        let reader = json::ReaderBuilder::new(Arc::new(Schema::new(fields)))
            .with_batch_size(self.batch_rows)
            // A field that is read as text may have numbers.
            .with_coerce_primitive(true)
            .build(buffered(file.reader(start)))
            .map_err(|_| file.error(FailureCode::FieldTypeChanged, "a type of the schema cannot be read from JSON"))?;
        Ok(Box::new(reader))
    }

    /// A field as the reader needs it. What the plan does not need, and what is decoded afterwards, is text.
    fn field(&self, name: &str) -> Field {
        let field = self.plan.read.iter().find(|field| field.name == name);
        let data_type = field.map(|field| field.data_type.clone()).filter(|data_type| !is_decoded(data_type));
        Field::new(name, data_type.unwrap_or(DataType::Utf8), true)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, DeliveryError> {
        loop {
            if self.current.is_none() {
                let Some(file) = self.files.next() else { return Ok(None) };
                self.current = Some(self.open(file)?);
            }
            let Some((file, reader)) = &mut self.current else { return Ok(None) };
            match reader.next() {
                Some(Ok(batch)) => {
                    let decoded = decode(&self.plan, batch);
                    return decoded.map(Some).map_err(|(field, cause)| bad_value(file, &field, cause));
                }
                // The cause quotes values.
                Some(Err(ArrowError::IoError(..))) => {
                    return Err(file.error(FailureCode::DatasetUnavailable, "cannot read"));
                }
                Some(Err(_)) => {
                    let detail = "a row is malformed or has a value that is not of the type of its field";
                    return Err(file.error(FailureCode::FieldTypeChanged, detail));
                }
                None => self.current = None,
            }
        }
    }
}

/// The error of a value, which it does not quote.
fn bad_value(file: &TrackedFile, field: &str, cause: BadValue) -> DeliveryError {
    let (code, problem) = match cause {
        BadValue::OtherType => (FailureCode::FieldTypeChanged, "is not of the type of its field"),
        BadValue::TooManyDigits => (FailureCode::ValueNotEncodable, "has more digits than its field"),
    };
    file.error(code, &format!("a value of the field `{field}` {problem}"))
}

fn buffered(reader: TrackedReader) -> BufReader<TrackedReader> {
    BufReader::with_capacity(READ_BYTES, reader)
}

/// Batches of a sequential source.
pub enum Batches {
    /// Of text files.
    Text(TextBatches),
    /// Of the result of a query.
    Rows(Box<dyn RowSource>),
}

impl Batches {
    /// The next batches, until they have `rows` rows or `bytes` bytes; none at the end. Stops waiting for them if the job is
    /// stopped.
    pub fn next_batches(&mut self, rows: usize, bytes: usize, outputs: &Outputs) -> Result<Vec<RecordBatch>, Halt> {
        let (mut batches, mut found_rows, mut found_bytes) = (Vec::new(), 0, 0);
        while found_rows < rows && found_bytes < bytes {
            let batch = match self {
                Self::Text(text) => text.next_batch()?,
                Self::Rows(source) => outputs.wait(source.next())??,
            };
            let Some(batch) = batch else { break };
            found_rows += batch.num_rows();
            found_bytes += batch.get_array_memory_size();
            batches.push(batch);
        }
        Ok(batches)
    }
}
