//! Tables, jobs, and the files that they make.

#![expect(clippy::format_collect, clippy::wildcard_enum_match_arm, reason = "types of the samples")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray, Float32Array,
    Float64Array, Int16Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int8Type, SchemaRef, i256};
use chrono::{TimeZone as _, Utc};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::delivery::datasets::{PinnedTable, SourceFile, TableContent};
use crate::delivery::engine::{EncodingSettings, Engine, Job, PreviewLimit, Progress};
use crate::delivery::layout::Layout;
use crate::delivery::{DeliveryError, FileSummary, Output, OutputFile, OutputFormat};
use crate::model::{
    DatasetField, ExportName, FieldType, OrganizationId, PayloadField, PayloadTable, ResourceId, Transform,
};

/// A file that a job made.
#[derive(Debug, PartialEq, Eq)]
pub struct MadeFile {
    pub file: OutputFile,
    pub bytes: Vec<u8>,
    pub summary: FileSummary,
}

impl MadeFile {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}

/// A directory with Parquet files.
pub struct Tables {
    pub directory: TempDir,
}

impl Tables {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A table of one Parquet file.
    pub fn parquet(&self, name: &str, batches: &[RecordBatch], group_rows: usize) -> PinnedTable {
        let path = self.directory.path().join(format!("{name}.parquet"));
        write_parquet(&path, batches, group_rows);
        let file = SourceFile::open_local(path).unwrap();
        table(name, &batches[0].schema(), TableContent::Parquet(vec![file]))
    }

    /// A file with these bytes.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> SourceFile {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        SourceFile::open_local(path).unwrap()
    }
}

pub fn write_parquet(path: &Path, batches: &[RecordBatch], group_rows: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
}

/// A pinned table whose fields are those of a schema.
pub fn table(name: &str, schema: &SchemaRef, content: TableContent) -> PinnedTable {
    let fields = schema.fields().iter();
    let fields =
        fields.map(|field| DatasetField { name: field.name().clone(), field_type: field_type(field.data_type()) });
    PinnedTable {
        table: name.to_owned(),
        schema: Arc::clone(schema),
        fields: fields.collect(),
        content,
        estimated_rows: None,
        estimated_bytes: None,
    }
}

fn field_type(data_type: &DataType) -> FieldType {
    match data_type {
        DataType::Boolean => FieldType::Boolean,
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt64 => FieldType::Integer,
        DataType::Float32 | DataType::Float64 => FieldType::Double,
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            FieldType::Decimal { precision: *precision, scale: *scale }
        }
        DataType::Utf8 | DataType::Dictionary(..) => FieldType::String,
        DataType::Binary => FieldType::Bytes,
        DataType::Date32 => FieldType::Date,
        DataType::Time64(_) => FieldType::Time,
        DataType::Timestamp(..) => FieldType::Timestamp,
        _ => FieldType::Unsupported,
    }
}

/// The payload that exports all fields of a table.
pub fn all_fields(table: &str) -> PayloadTable {
    PayloadTable { table: table.to_owned(), fields: Vec::new(), filters: Vec::new() }
}

pub fn field(field: &str, output_name: &str, transform: Transform) -> PayloadField {
    PayloadField { field: field.to_owned(), output_name: output_name.to_owned(), transform, field_type: None }
}

pub fn layout() -> Layout {
    let export =
        ExportName { organization: OrganizationId::parse("acme").unwrap(), id: ResourceId::parse("weekly").unwrap() };
    let time = Utc.with_ymd_and_hms(2026, 11, 24, 6, 0, 0).unwrap();
    Layout::new(export, Uuid::nil(), time, "{table}").unwrap()
}

pub fn settings(settings: &Value) -> EncodingSettings {
    EncodingSettings::new(OutputFormat::Files, settings.as_object().unwrap()).unwrap()
}

pub fn job(tables: Vec<(PayloadTable, PinnedTable)>, settings: EncodingSettings) -> Result<Job, DeliveryError> {
    Job::plan(tables, settings, layout(), None)
}

pub fn preview(tables: Vec<(PayloadTable, PinnedTable)>, settings: EncodingSettings, rows: u64, bytes: u64) -> Job {
    Job::plan(tables, settings, layout(), Some(PreviewLimit { rows, bytes })).unwrap()
}

/// Runs a job on some threads.
pub fn run(job: Job, threads: usize) -> Result<Vec<MadeFile>, DeliveryError> {
    run_counted(job, threads).map(|(files, _)| files)
}

/// Runs a job, and returns its progress.
pub fn run_counted(job: Job, threads: usize) -> Result<(Vec<MadeFile>, Arc<Progress>), DeliveryError> {
    let runtime = Runtime::new().unwrap();
    let progress = Arc::new(Progress::default());
    let engine = Engine::new(threads, 1 << 30);
    let outputs = runtime.block_on(async {
        let workers = engine.reserve_run().await.unwrap();
        engine.start(job, workers, Arc::clone(&progress), CancellationToken::new())
    });
    let files = runtime.block_on(collect(outputs))?;
    Ok((files, progress))
}

/// Collects the files of a job, and checks the order of the outputs and the summaries.
pub async fn collect(mut outputs: Receiver<Result<Output, DeliveryError>>) -> Result<Vec<MadeFile>, DeliveryError> {
    use sha2::{Digest as _, Sha256};
    let (mut files, mut open) = (Vec::new(), None);
    while let Some(output) = outputs.recv().await {
        match output? {
            Output::File(file) => {
                assert!(open.is_none(), "a file begins inside of another one");
                open = Some((file, Vec::new(), 0));
            }
            Output::Chunk(chunk) => {
                let (_, bytes, rows) = open.as_mut().expect("a chunk outside of a file");
                bytes.extend_from_slice(&chunk.bytes);
                *rows += chunk.rows;
            }
            Output::EndOfFile(summary) => {
                let (file, bytes, rows) = open.take().expect("no file ends");
                let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                let length = bytes.len() as u64;
                assert_eq!((summary.rows, summary.bytes, &summary.sha256), (rows, length, &sha256));
                assert_eq!((&summary.path, &summary.table), (&file.path, &file.table));
                files.push(MadeFile { file, bytes, summary });
            }
        }
    }
    assert!(open.is_none(), "a file does not end");
    Ok(files)
}

/// Four rows of every type; the third is null. Texts have quotes, delimiters, line breaks and emoji.
pub fn all_types() -> RecordBatch {
    let micros = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
    let dictionary: DictionaryArray<Int8Type> = [Some("b2c"), Some("b2b"), None, Some("b2c")].into_iter().collect();
    let decimals = Decimal128Array::from(vec![Some(123_450), Some(-5), None, Some(0)]);
    let wide = Decimal256Array::from(vec![Some(i256::from_i128(1)), Some(i256::from_i128(-1)), None, Some(i256::ZERO)]);
    let texts = vec![Some("plain"), Some("a \"quote\", and\r\na line"), None, Some("")];
    let times = Time64MicrosecondArray::from(vec![Some(0), Some(86_399_999_999), None, Some(21_600_000_000)]);
    let stamps = vec![Some(micros("2026-11-24T06:00:00Z")), Some(-1), None, Some(micros("0001-01-01T00:00:00.5Z"))];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
        ("small", Arc::new(Int16Array::from(vec![Some(1), Some(i16::MIN), None, Some(0)]))),
        ("id", Arc::new(Int64Array::from(vec![Some(1), Some(i64::MIN), None, Some(i64::MAX)]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![Some(1), Some(u64::MAX), None, Some(0)]))),
        ("single", Arc::new(Float32Array::from(vec![Some(0.1), Some(-1e30), None, Some(0.0)]))),
        ("double", Arc::new(Float64Array::from(vec![Some(0.1), Some(1e300), None, Some(-2.0)]))),
        ("price", Arc::new(decimals.with_precision_and_scale(12, 2).unwrap())),
        ("wide", Arc::new(wide.with_precision_and_scale(60, 5).unwrap())),
        ("name", Arc::new(StringArray::from(texts))),
        ("emoji", Arc::new(StringArray::from(vec![Some("Zoë 🚀"), Some("=1+1"), None, Some("-\\\u{1}")]))),
        ("segment", Arc::new(dictionary)),
        ("blob", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xff\x00"), Some(b"abc"), None, Some(b"")]))),
        ("day", Arc::new(Date32Array::from(vec![Some(20_781), Some(-1), None, Some(0)]))),
        ("clock", Arc::new(times)),
        ("created", Arc::new(TimestampMicrosecondArray::from(stamps))),
        (
            "precise",
            Arc::new(TimestampNanosecondArray::from(vec![Some(1), Some(1_000), None, Some(0)]).with_timezone("UTC")),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
