//! Tables and views of a PostgreSQL schema per organization.

mod catalog;
mod columns;
mod connection;
mod query;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use reqwest::Url;
use tokio::sync::Mutex;

pub use catalog::PostgresTable;

use super::options::{SourceError, SourceOptions};
use super::pinned::RowSource;
use crate::delivery::DeliveryError;
use crate::dialer::Dialer;
use crate::model::{FailureCode, OrganizationId, PayloadTable};
use connection::Server;
use query::Query;
use rows::Rows;

/// A database with a schema per organization.
#[derive(Clone)]
pub struct PostgresSource {
    server: Server,
    schema_prefix: String,
}

/// How long a statement that reads the catalog may take.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to begin the queries of a payload. Each waits up to 5 s for the lock of its table.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

impl PostgresSource {
    /// `postgres://user@host:port/database`, with the options of [`Server::parse`] and `schema_prefix`.
    pub fn new(url: &Url, mut options: SourceOptions, dialer: &Dialer) -> Result<Self, SourceError> {
        let server = Server::parse(url, &mut options, dialer)?;
        let schema_prefix = options.take("schema_prefix").map(|prefix| prefix.expose().to_owned()).unwrap_or_default();
        if let Some((unknown, _)) = options.iter().next() {
            return Err(SourceError::UnknownOption(unknown.to_owned()));
        }
        Ok(Self { server, schema_prefix })
    }

    fn schema(&self, organization: &OrganizationId) -> String {
        format!("{}{organization}", self.schema_prefix)
    }

    /// The tables and views of an organization that the user may read, by name. An organization without a schema has
    /// none.
    pub async fn tables(&self, organization: &OrganizationId) -> Result<Vec<PostgresTable>, DeliveryError> {
        let mut connection = self.server.open(CATALOG_TIMEOUT).await?;
        let tables = catalog::read(&mut connection, &self.schema(organization)).await?;
        connection.close().await;
        Ok(tables)
    }

    /// Opens a query for the rows of each table, and returns it with the schema of its batches. All are read by one
    /// connection, from one snapshot.
    pub async fn open(
        &self,
        organization: &OrganizationId,
        tables: &[(&PostgresTable, &PayloadTable)],
    ) -> Result<Vec<(SchemaRef, Box<dyn RowSource>)>, DeliveryError> {
        let schema = self.schema(organization);
        let tables = tables.iter().enumerate();
        let queries = tables.map(|(number, (table, payload))| Query::new(&schema, (number, table), payload));
        let queries = queries.collect::<Result<Vec<_>, _>>()?;
        let declared = async {
            let mut connection = self.server.open(rows::FETCH_TIMEOUT).await?;
            for query in &queries {
                query.declare(&mut connection).await?;
            }
            Ok(connection)
        };
        let connection = tokio::time::timeout(OPEN_TIMEOUT, declared).await.unwrap_or_else(|elapsed| {
            Err(DeliveryError::with(FailureCode::DatasetUnavailable, "cannot open the tables", elapsed))
        })?;
        let connection = Arc::new(Mutex::new(connection));
        let rows = |query| {
            let rows = Rows::new(Arc::clone(&connection), query);
            (rows.schema(), Box::new(rows) as Box<dyn RowSource>)
        };
        Ok(queries.into_iter().map(rows).collect())
    }
}
