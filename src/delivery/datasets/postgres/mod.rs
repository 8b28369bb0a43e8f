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
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::sync::Mutex;

pub use catalog::PostgresTable;

use super::options::{SourceError, SourceOptions};
use super::pinned::RowSource;
use crate::delivery::DeliveryError;
use crate::model::{FailureCode, OrganizationId, PayloadTable};
use query::Query;
use rows::Rows;

/// A database with a schema per organization.
#[derive(Clone)]
pub struct PostgresSource {
    options: PgConnectOptions,
    schema_prefix: String,
}

/// How long a statement that reads the catalog may take.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to begin the queries of a payload. Each waits up to 5 s for the lock of its table.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

impl PostgresSource {
    /// `postgres://user@host:port/database`, with the options `password`, `sslmode`, `sslrootcert`, `schema_prefix` and
    /// `host` (the directory of a Unix socket).
    pub fn new(url: &Url, mut options: SourceOptions) -> Result<Self, SourceError> {
        let host = match (url.host_str(), options.take("host")) {
            (None | Some(""), Some(socket)) => socket.expose().to_owned(),
            (Some(host), None) if !host.is_empty() => host.trim_matches(['[', ']']).to_owned(),
            _ => return Err(SourceError::Options),
        };
        let database = decode(url.path().trim_start_matches('/'))?;
        let user = decode(url.username())?;
        if user.is_empty() || database.is_empty() || database.contains('/') {
            return Err(SourceError::Options);
        }
        let ssl_mode = match options.take("sslmode") {
            Some(mode) => mode.expose().parse().map_err(|_| SourceError::Options)?,
            None if is_local(&host) => PgSslMode::Prefer,
            None => PgSslMode::VerifyFull,
        };
        let password = options.take("password");
        let mut connect = PgConnectOptions::new_without_pgpass()
            .port(url.port().unwrap_or(5432))
            .username(&user)
            .database(&database)
            .password(password.as_ref().map_or("", |password| password.expose()))
            .ssl_mode(ssl_mode)
            .application_name("outflow-datasets")
            .extra_float_digits(None)
            .statement_cache_capacity(8);
        connect = if host.starts_with('/') { connect.socket(&host) } else { connect.host(&host) };
        if let Some(certificate) = options.take("sslrootcert") {
            connect = connect.ssl_root_cert(certificate.expose());
        }
        let schema_prefix = options.take("schema_prefix").map(|prefix| prefix.expose().to_owned()).unwrap_or_default();
        if let Some((unknown, _)) = options.iter().next() {
            return Err(SourceError::UnknownOption(unknown.to_owned()));
        }
        Ok(Self { options: connect.disable_statement_logging(), schema_prefix })
    }

    fn schema(&self, organization: &OrganizationId) -> String {
        format!("{}{organization}", self.schema_prefix)
    }

    /// The tables and views of an organization that the user may read, by name. An organization without a schema has
    /// none.
    pub async fn tables(&self, organization: &OrganizationId) -> Result<Vec<PostgresTable>, DeliveryError> {
        let mut connection = connection::open(&self.options, CATALOG_TIMEOUT).await?;
        let tables = catalog::read(&mut connection, &self.schema(organization)).await?;
        connection::close(connection).await;
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
            let mut connection = connection::open(&self.options, rows::FETCH_TIMEOUT).await?;
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

fn is_local(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.starts_with('/') || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Decodes a part of a URL.
fn decode(part: &str) -> Result<String, SourceError> {
    // A query decodes in the same way, apart from `+`.
    let url = Url::parse(&format!("x:?x={}", part.replace('+', "%2B").replace('&', "%26")))
        .map_err(|_| SourceError::Malformed)?;
    Ok(url.query_pairs().next().map(|(_, value)| value.into_owned()).unwrap_or_default())
}
