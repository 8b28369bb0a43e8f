//! What [`open`](super::Datasets::open) gives to the engine: a table, pinned to the files or the snapshot that it had then.

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::source_file::SourceFile;
use crate::delivery::DeliveryError;
use crate::model::DatasetField;

/// A table, pinned for one attempt of a run.
#[derive(Debug)]
pub struct PinnedTable {
    /// Its name.
    pub table: String,
    /// Schema of the rows. Of files: all fields. Of a query: the fields of the payload, each once; all supported fields if
    /// the payload has none.
    pub schema: SchemaRef,
    /// All fields of the dataset, with their types, in the order of the source.
    pub fields: Vec<DatasetField>,
    /// Where the rows are.
    pub content: TableContent,
    /// Number of rows, as the source knows or estimates it.
    pub estimated_rows: Option<u64>,
    /// Bytes in the source, as it knows or estimates them.
    pub estimated_bytes: Option<u64>,
}

/// The rows of a table.
pub enum TableContent {
    /// Parquet files. A file may lack a field of the schema (its values are null) and may have the fields in another order.
    Parquet(Vec<SourceFile>),
    /// CSV files (RFC 4180, comma, UTF-8) with a header, whose columns may be in another order than the schema.
    Csv(Vec<SourceFile>),
    /// JSON Lines files: an object per line, whose keys are fields; absent and null are the same.
    JsonLines(Vec<SourceFile>),
    /// The result of a query, which the source has projected and filtered completely.
    Rows(Box<dyn RowSource>),
}

/// The rows of a query, in batches, from one snapshot.
#[async_trait::async_trait]
pub trait RowSource: Send {
    /// The next batch, of at most [`MAX_BATCH_ROWS`] rows, with the schema of the table; `None` after the last.
    async fn next(&mut self) -> Result<Option<RecordBatch>, DeliveryError>;
}

/// Maximum number of rows in a batch of a [`RowSource`].
pub const MAX_BATCH_ROWS: usize = 8_192;

impl TableContent {
    /// Paths and fingerprints of its files; `None` for the rows of a query, of which nothing is known before they are read.
    pub fn fingerprint(&self) -> Option<Vec<(String, String)>> {
        match self {
            Self::Parquet(files) | Self::Csv(files) | Self::JsonLines(files) => {
                Some(files.iter().map(|file| (file.path().display().to_string(), file.fingerprint())).collect())
            }
            Self::Rows(_) => None,
        }
    }
}

impl fmt::Debug for TableContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parquet(files) => formatter.debug_tuple("Parquet").field(files).finish(),
            Self::Csv(files) => formatter.debug_tuple("Csv").field(files).finish(),
            Self::JsonLines(files) => formatter.debug_tuple("JsonLines").field(files).finish(),
            Self::Rows(_) => formatter.write_str("Rows"),
        }
    }
}
