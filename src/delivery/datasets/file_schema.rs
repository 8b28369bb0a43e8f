//! The schema of one file: from the footer of Parquet, from a `<table>.schema.json`, or from the header of CSV or the first
//! lines of JSON Lines, where every field is a text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use serde::Deserialize;
use serde_json::Value;

use super::listing::FileFormat;
use super::source_file::SourceFile;
use super::types::arrow_type;
use crate::delivery::DeliveryError;
use crate::model::{FailureCode, FieldType};

/// Maximum number of fields of a table.
const MAX_FIELDS: usize = 10_000;
/// Maximum bytes of the metadata in a Parquet file.
const MAX_FOOTER_BYTES: u32 = 64 * 1024 * 1024;
/// Maximum bytes of a `<table>.schema.json`.
const MAX_SCHEMA_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes at the beginning of a CSV or JSON Lines file in which its fields are looked for.
const HEAD_BYTES: u64 = 256 * 1024;
/// Bytes at the end of a Parquet file: the length of the metadata and a magic number.
const PARQUET_TAIL_BYTES: u64 = 8;

/// The schema of a file.
#[derive(Clone, Debug)]
pub struct FileSchema {
    /// Its fields.
    pub schema: SchemaRef,
    /// Number of rows; only Parquet files tell it.
    pub rows: Option<u64>,
}

/// Why there is no schema.
#[derive(Debug)]
pub enum SchemaError {
    /// The source answered, and what it has is no table.
    Unreadable(String),
    /// The source did not respond, or a file changed.
    Source(DeliveryError),
}

impl From<DeliveryError> for SchemaError {
    fn from(error: DeliveryError) -> Self {
        Self::Source(error)
    }
}

impl From<SchemaError> for DeliveryError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Unreadable(cause) => Self::new(FailureCode::DatasetUnavailable, cause),
            SchemaError::Source(error) => error,
        }
    }
}

/// Reads the schema of a file. It blocks.
pub fn read(
    format: FileFormat,
    file: &SourceFile,
    schema_file: Option<&SourceFile>,
) -> Result<FileSchema, SchemaError> {
    let found = match (format, schema_file) {
        (FileFormat::Parquet, _) => parquet(file)?,
        (FileFormat::Csv, Some(schema_file)) => declared(schema_file, file, Some(&csv_header(file)?))?,
        (FileFormat::Csv, None) => texts(csv_header(file)?),
        (FileFormat::JsonLines, Some(schema_file)) => declared(schema_file, file, None)?,
        (FileFormat::JsonLines, None) => json_lines(file)?,
    };
    let mut names = BTreeSet::new();
    if let Some(twice) = found.schema.fields().iter().find(|field| !names.insert(field.name())) {
        return Err(unreadable(file, &format!("the field {} exists twice", twice.name())));
    }
    if found.schema.fields().len() > MAX_FIELDS {
        return Err(unreadable(file, "it has more than 10,000 fields"));
    }
    Ok(found)
}

fn unreadable(file: &SourceFile, cause: &str) -> SchemaError {
    SchemaError::Unreadable(format!("cannot read the schema of {file}: {cause}"))
}

fn parquet(file: &SourceFile) -> Result<FileSchema, SchemaError> {
    let tail = file.len().checked_sub(PARQUET_TAIL_BYTES).ok_or_else(|| unreadable(file, "it is too short"))?;
    let tail = file.read_at(tail, 8)?;
    let length = tail.first_chunk().map_or(u32::MAX, |bytes: &[u8; 4]| u32::from_le_bytes(*bytes));
    if &tail[4..] != b"PAR1" || length > MAX_FOOTER_BYTES {
        return Err(unreadable(file, "it is not a Parquet file, or its metadata is larger than 64 MiB"));
    }
    let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new());
    let metadata = metadata.map_err(|error| match SourceFile::delivery_error(&error) {
        Some(error) => SchemaError::Source(error),
        None => unreadable(file, &error.to_string()),
    })?;
    let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).ok();
    let schema = Schema::new(metadata.schema().fields().clone());
    Ok(FileSchema { schema: Arc::new(schema), rows })
}

fn texts(names: Vec<String>) -> FileSchema {
    let fields: Vec<Field> = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    FileSchema { schema: Arc::new(Schema::new(fields)), rows: None }
}

/// The beginning of a file, cut after its last complete line if the file is longer.
fn head(file: &SourceFile) -> Result<Vec<u8>, SchemaError> {
    let length = file.len().min(HEAD_BYTES);
    let mut head = file.read_at(0, usize::try_from(length).unwrap_or(usize::MAX))?.to_vec();
    if length < file.len() {
        let end = head.iter().rposition(|byte| *byte == b'\n');
        head.truncate(end.map_or(0, |end| end + 1));
    }
    Ok(head)
}

fn csv_header(file: &SourceFile) -> Result<Vec<String>, SchemaError> {
    let head = head(file)?;
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    let format = arrow::csv::reader::Format::default().with_header(true);
    let (schema, _) = format.infer_schema(text, Some(0)).map_err(|error| unreadable(file, &error.to_string()))?;
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(unreadable(file, "its header is missing, has an empty name, or is longer than 256 KiB"));
    }
    Ok(names)
}

/// The keys of the first lines. A key that has an object or array cannot be exported.
fn json_lines(file: &SourceFile) -> Result<FileSchema, SchemaError> {
    let mut fields: BTreeMap<String, DataType> = BTreeMap::new();
    for line in head(file)?.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(line).map_err(|_| unreadable(file, "a line is not a JSON object"))?;
        for (key, value) in object {
            let is_nested = value.is_object() || value.is_array();
            let data_type = fields.entry(key).or_insert(DataType::Utf8);
            if is_nested {
                *data_type = DataType::Null;
            }
        }
    }
    let fields: Vec<Field> = fields.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    Ok(FileSchema { schema: Arc::new(Schema::new(fields)), rows: None })
}

/// `<table>.schema.json`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    fields: Vec<DeclaredField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredField {
    name: String,
    #[serde(rename = "type")]
    declared: DeclaredType,
    precision: Option<u8>,
    scale: Option<i8>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DeclaredType {
    Boolean,
    Integer,
    Double,
    Decimal,
    String,
    Date,
    Time,
    Timestamp,
}

fn declared(schema_file: &SourceFile, file: &SourceFile, header: Option<&[String]>) -> Result<FileSchema, SchemaError> {
    if schema_file.len() > MAX_SCHEMA_FILE_BYTES {
        return Err(unreadable(schema_file, "it is larger than 4 MiB"));
    }
    let text = schema_file.read_at(0, usize::try_from(schema_file.len()).unwrap_or(usize::MAX))?;
    let parsed: Result<SchemaFile, _> = serde_json::from_slice(&text);
    let parsed = parsed.map_err(|error| unreadable(schema_file, &error.to_string()))?;
    let mut fields = Vec::with_capacity(parsed.fields.len().min(MAX_FIELDS));
    for field in parsed.fields {
        if header.is_some_and(|header| !header.contains(&field.name)) {
            return Err(unreadable(file, &format!("its header lacks the declared field {}", field.name)));
        }
        let data_type = field.field_type().map(arrow_type);
        let data_type = data_type
            .ok_or_else(|| unreadable(schema_file, &format!("{} has a bad precision or scale", field.name)))?;
        fields.push(Field::new(field.name, data_type, true));
    }
    Ok(FileSchema { schema: Arc::new(Schema::new(fields)), rows: None })
}

impl DeclaredField {
    /// `None` if precision and scale are missing, out of range, or not for this type.
    fn field_type(&self) -> Option<FieldType> {
        let simple = match self.declared {
            DeclaredType::Decimal => {
                let (precision, scale) = (self.precision?, self.scale?);
                let is_valid =
                    (1..=38).contains(&precision) && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
                return is_valid.then_some(FieldType::Decimal { precision, scale });
            }
            DeclaredType::Boolean => FieldType::Boolean,
            DeclaredType::Integer => FieldType::Integer,
            DeclaredType::Double => FieldType::Double,
            DeclaredType::String => FieldType::String,
            DeclaredType::Date => FieldType::Date,
            DeclaredType::Time => FieldType::Time,
            DeclaredType::Timestamp => FieldType::Timestamp,
        };
        (self.precision.is_none() && self.scale.is_none()).then_some(simple)
    }
}
