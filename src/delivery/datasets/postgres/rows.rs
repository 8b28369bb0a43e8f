//! Fetches the rows of a query, and decodes them into columns.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;
use tokio::sync::Mutex;

use super::columns::Column;
use super::connection::{Connection, failed};
use super::query::Query;
use crate::delivery::DeliveryError;
use crate::delivery::datasets::pinned::{MAX_BATCH_ROWS, RowSource};
use crate::model::FailureCode;

/// How long the fetch of a batch may take. A selective filter may read the whole table for it.
pub const FETCH_TIMEOUT: Duration = Duration::from_mins(10);
/// Rows of the first fetch, after which the size of rows is known.
const FIRST_BATCH_ROWS: usize = 128;
/// Bytes that a batch should have.
const TARGET_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that a batch may have, if rows are far larger than those before.
const MAX_BATCH_BYTES: usize = 64 * 1024 * 1024;

/// The rows of a query, fetched from its cursor.
pub struct Rows {
    /// The connection of all tables of a payload, which are read one after the other.
    connection: Arc<Mutex<Connection>>,
    query: Query,
    schema: SchemaRef,
    batch_limit: usize,
    is_done: bool,
}

impl Rows {
    /// The rows of a query whose cursor is declared.
    pub fn new(connection: Arc<Mutex<Connection>>, query: Query) -> Self {
        let fields: Vec<Field> = query
            .columns
            .iter()
            .map(|found| Field::new(&found.field.name, Column::data_type(found.column), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        Self { connection, query, schema, batch_limit: FIRST_BATCH_ROWS, is_done: false }
    }

    /// The schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    async fn fetch(&mut self) -> Result<Option<RecordBatch>, DeliveryError> {
        let mut columns: Vec<Column> = self.query.columns.iter().map(|found| Column::new(found.column)).collect();
        let sql = AssertSqlSafe(format!("FETCH FORWARD {} FROM {}", self.batch_limit, self.query.cursor));
        let mut connection = self.connection.lock().await;
        let mut rows = sqlx::query(sql).persistent(false).fetch(&mut **connection);
        let (mut count, mut bytes) = (0_usize, 0_usize);
        while let Some(row) = rows.try_next().await.map_err(|error| failed("cannot read the table", &error))? {
            for (index, (column, found)) in columns.iter_mut().zip(&self.query.columns).enumerate() {
                bytes += column.push(&row, index, &found.field.name)?;
            }
            count += 1;
            if bytes > MAX_BATCH_BYTES {
                let detail = format!("{count} rows of the table have more than {MAX_BATCH_BYTES} bytes");
                return Err(DeliveryError::new(FailureCode::LimitExceeded, detail));
            }
        }
        drop(rows);
        drop(connection);
        self.is_done = count < self.batch_limit;
        if count == 0 {
            return Ok(None);
        }
        self.batch_limit = (TARGET_BATCH_BYTES / (bytes / count).max(1)).clamp(1, MAX_BATCH_ROWS);
        let columns = columns.into_iter().map(Column::finish).collect::<Result<_, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(self.schema(), columns, &options);
        batch.map(Some).map_err(|error| DeliveryError::with(FailureCode::Internal, "cannot build a batch", error))
    }
}

#[async_trait::async_trait]
impl RowSource for Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>, DeliveryError> {
        if self.is_done {
            return Ok(None);
        }
        let result = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await.unwrap_or_else(|elapsed| {
            Err(DeliveryError::with(FailureCode::DatasetUnavailable, "cannot read the table", elapsed))
        });
        // After an error the transaction is of no use.
        self.is_done |= result.is_err();
        result
    }
}
