//! The schema of a table of files: the fields of all its files together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::file_schema::{self, FileSchema, SchemaError};
use super::listing::{FileFormat, TableFiles};
use super::pinned::{PinnedTable, TableContent};
use super::source_file::SourceFile;
use super::types;
use super::work::{blocking, within};
use crate::delivery::DeliveryError;
use crate::model::{Dataset, DatasetField, FailureCode, OrganizationId};

/// Number of fields in all cached schemas together, each counted as one entry.
const MAX_CACHED_FIELDS: u64 = 200_000;
/// How long the schema of a file that is not read is cached.
const IDLE_TTL: Duration = Duration::from_mins(10);
/// Number of files whose schemas are read at the same time for one table.
const CONCURRENCY: usize = 8;

/// Schemas of files, cached by what tells a file from a changed one.
pub struct FileSchemas {
    /// The schema, or why the file has none.
    cache: Cache<String, Result<FileSchema, String>>,
}

/// The schema of a table.
pub struct TableSchema {
    schema: SchemaRef,
    fields: Vec<DatasetField>,
    rows: Option<u64>,
}

impl FileSchemas {
    pub fn new() -> Self {
        let weigh = |_: &String, found: &Result<FileSchema, String>| {
            let fields = found.as_ref().map_or(0, |found| found.schema.fields().len());
            u32::try_from(fields + 1).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(MAX_CACHED_FIELDS).weigher(weigh).time_to_idle(IDLE_TTL).build();
        Self { cache }
    }

    /// Reads the schemas of the files of a table that are not cached. What was read before a timeout stays cached, so that
    /// a repeated call succeeds in the end.
    pub async fn of_table(
        &self,
        table: &TableFiles,
        permits: &Arc<Semaphore>,
        deadline: Instant,
    ) -> Result<TableSchema, SchemaError> {
        let reads: Vec<_> = table.files.iter().map(|file| self.of_file(table, file, permits)).collect();
        let read = stream::iter(reads).buffered(CONCURRENCY);
        let left = deadline.saturating_duration_since(Instant::now());
        let schemas: Vec<Result<FileSchema, String>> = within(left, read.try_collect()).await?;
        let schemas = schemas.into_iter().collect::<Result<Vec<_>, _>>().map_err(SchemaError::Unreadable)?;
        Ok(TableSchema::of(&schemas))
    }

    async fn of_file(
        &self,
        table: &TableFiles,
        file: &SourceFile,
        permits: &Arc<Semaphore>,
    ) -> Result<Result<FileSchema, String>, DeliveryError> {
        let key = format!("{} {}", file.key(), table.schema_file.as_ref().map(SourceFile::key).unwrap_or_default());
        if let Some(found) = self.cache.get(&key) {
            return Ok(found);
        }
        let permit = Arc::clone(permits).acquire_owned().await;
        let permit = permit.map_err(|error| DeliveryError::with(FailureCode::Internal, "cannot read", error))?;
        let (format, file, schema_file, cache) =
            (table.format, file.clone(), table.schema_file.clone(), self.cache.clone());
        blocking(move || {
            let _permit = permit;
            let found = match file_schema::read(format, &file, schema_file.as_ref()) {
                Ok(found) => Ok(found),
                Err(SchemaError::Unreadable(cause)) => Err(cause),
                Err(SchemaError::Source(error)) => return Err(error),
            };
            cache.insert(key, found.clone());
            Ok(found)
        })
        .await
    }
}

impl TableSchema {
    /// The fields of all files, each where it occurs first. A field whose values differ in their type between files cannot be
    /// exported.
    fn of(files: &[FileSchema]) -> Self {
        let mut merged: Vec<Field> = Vec::new();
        let mut positions = std::collections::HashMap::new();
        for field in files.iter().flat_map(|file| file.schema.fields()) {
            match positions.get(field.name()) {
                None => {
                    positions.insert(field.name().clone(), merged.len());
                    merged.push(Field::new(field.name(), field.data_type().clone(), true));
                }
                Some(position) => {
                    let first: &mut Field = &mut merged[*position];
                    let common = types::common_type(first.data_type(), field.data_type());
                    *first = Field::new(field.name(), common.unwrap_or(DataType::Null), true);
                }
            }
        }
        let schema = Arc::new(Schema::new(merged));
        let rows = files.iter().map(|file| file.rows).sum();
        Self { fields: types::fields(&schema), schema, rows }
    }

    /// The table as a dataset.
    pub fn dataset(self, organization: &OrganizationId, table: &str, files: &TableFiles) -> Dataset {
        Dataset {
            organization: organization.clone(),
            table: table.to_owned(),
            fields: self.fields,
            estimated_rows: self.rows,
            estimated_bytes: Some(bytes(files)),
            update_time: files.modified,
        }
    }

    /// The table, pinned to its files.
    pub fn pinned(self, table: &str, files: &TableFiles) -> PinnedTable {
        let content = files.files.clone();
        PinnedTable {
            table: table.to_owned(),
            schema: self.schema,
            fields: self.fields,
            content: match files.format {
                FileFormat::Parquet => TableContent::Parquet(content),
                FileFormat::Csv => TableContent::Csv(content),
                FileFormat::JsonLines => TableContent::JsonLines(content),
            },
            estimated_rows: self.rows,
            estimated_bytes: Some(bytes(files)),
        }
    }
}

fn bytes(files: &TableFiles) -> u64 {
    files.files.iter().map(SourceFile::len).sum()
}
