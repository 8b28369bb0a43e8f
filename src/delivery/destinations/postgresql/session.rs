//! The statements of a delivery: one transaction with the row of the run in the ledger.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::connect::{Connected, timed_out};
use super::failure::{of_ledger, of_sqlx};
use super::target::{Table, WriteMode, quoted};
use crate::delivery::DeliveryError;
use crate::model::FailureCode;

/// The ledger: a table in the schema of the target, with a row for each run that was delivered.
const LEDGER: &str = "outflow_deliveries";
/// How long short statements may take. Longer than the wait for a lock.
const SHORT: Duration = Duration::from_mins(1);
/// How long deleting rows, copying a chunk and committing may take. Longer than `statement_timeout`, so that the server
/// ends a statement first.
const LONG: Duration = Duration::from_mins(61);

/// Begins a transaction whose isolation and mode do not depend on defaults of the role.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Sets what the server knows of these settings, for the transaction. Notices could hold values of rows. The timeouts
/// bound how long locks are held for a client that disappeared. A `lock_timeout` of the role or database stays. Only some
/// systems can check the connection while a statement runs.
const SETTINGS: &str = "SELECT pg_catalog.set_config(w.name, w.value, true) FROM (VALUES \
     ('client_min_messages', 'error'), ('standard_conforming_strings', 'on'), \
     ('lock_timeout', CASE WHEN current_setting('lock_timeout') = '0' THEN '30s' ELSE current_setting('lock_timeout') END), \
     ('statement_timeout', '1h'), ('transaction_timeout', '0'), \
     ('idle_in_transaction_session_timeout', '1h'), \
     ('tcp_keepalives_idle', '60'), ('tcp_keepalives_interval', '15'), ('tcp_keepalives_count', '4'), \
     ('client_connection_check_interval', '10s')) AS w (name, value) \
     JOIN pg_catalog.pg_settings s ON s.name = w.name \
     WHERE w.name <> 'client_connection_check_interval' OR pg_catalog.version() LIKE '%linux%'";
/// Names of the columns, and of the constraints and indexes, of a table.
const DESCRIBE: &str = "WITH target AS (SELECT c.oid FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2) \
     SELECT true, a.attname::text FROM pg_catalog.pg_attribute a JOIN target t ON a.attrelid = t.oid \
     WHERE a.attnum > 0 AND NOT a.attisdropped \
     UNION ALL SELECT false, k.conname::text FROM pg_catalog.pg_constraint k JOIN target t ON k.conrelid = t.oid \
     UNION ALL SELECT false, x.relname::text FROM pg_catalog.pg_index i JOIN target t ON i.indrelid = t.oid \
     JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid";

/// A connection with a transaction that holds the row of the run. Dropping it rolls the transaction back.
pub(super) struct Session {
    connected: Connected,
    columns: Vec<String>,
    /// Columns, constraints and indexes.
    names: Vec<String>,
}

impl Session {
    /// Begins the transaction of a run. `None` if the run was delivered already, also to a table in `earlier_schema`, which an
    /// attempt before an edit of the export used. With [`WriteMode::Replace`] the rows of the table are deleted in it.
    pub(super) async fn begin(
        mut connected: Connected,
        table: &Table,
        (run, export): (Uuid, &str),
        earlier_schema: Option<&str>,
    ) -> Result<Option<Self>, DeliveryError> {
        let connection = &mut connected.connection;
        create_ledger(connection, &table.schema).await?;
        let mut schemas = vec![table.schema.as_str()];
        if let Some(earlier) = earlier_schema.filter(|earlier| *earlier != table.schema)
            && ledger_exists(connection, earlier).await?
        {
            schemas.insert(0, earlier);
        }
        run_raw(connection, "BEGIN", BEGIN, SHORT, &[]).await?;
        run_raw(connection, "the settings of the session", SETTINGS, SHORT, &[]).await?;
        for schema in schemas {
            if !insert(connection, schema, run, export).await? {
                connected.close().await;
                return Ok(None);
            }
        }
        let (columns, constraints): (Vec<_>, Vec<_>) =
            describe(connection, table).await?.into_iter().partition(|(is_column, _)| *is_column);
        let name = |(_, name)| name;
        let columns: Vec<String> = columns.into_iter().map(name).collect();
        let names: Vec<String> = columns.iter().cloned().chain(constraints.into_iter().map(name)).collect();
        if columns.is_empty() {
            let detail = format!("the table {} does not exist or has no columns", table.quoted());
            return Err(DeliveryError::new(FailureCode::DestinationRefused, detail));
        }
        if table.write_mode == WriteMode::Replace {
            let statement = format!("DELETE FROM {}", table.quoted());
            run_raw(connection, "deleting the rows", &statement, LONG, &names).await?;
        }
        Ok(Some(Self { connected, columns, names }))
    }

    /// The statement that copies rows. Fails if the table lacks a column.
    pub(super) fn copy_statement(&self, table: &Table, fields: &[String]) -> Result<String, DeliveryError> {
        let missing: Vec<_> = fields.iter().filter(|field| !self.columns.contains(field)).collect();
        if !missing.is_empty() {
            let missing: Vec<_> = missing.into_iter().map(|field| quoted(field)).collect();
            let detail = format!("the table {} has no column {}", table.quoted(), missing.join(", "));
            return Err(DeliveryError::new(FailureCode::DestinationRefused, detail));
        }
        let columns: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
        Ok(format!("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')", table.quoted(), columns.join(", ")))
    }

    /// Copies complete rows. Each call is a statement of its own, so that an error is known after one chunk; the price is
    /// two round trips per chunk.
    pub(super) async fn copy(&mut self, statement: &str, rows: &[u8]) -> Result<(), DeliveryError> {
        let connection = &mut self.connected.connection;
        let copy = async {
            let mut copy = connection.copy_in_raw(statement).await?;
            copy.send(rows).await?;
            copy.finish().await
        };
        within("copying rows", LONG, copy, &self.names).await.map(drop)
    }

    /// Commits. If the connection is lost meanwhile, the ledger tells the next attempt what happened.
    pub(super) async fn commit(mut self) -> Result<(), DeliveryError> {
        run_raw(&mut self.connected.connection, "COMMIT", "COMMIT", LONG, &self.names).await?;
        self.connected.close().await;
        Ok(())
    }
}

/// Whether the server accepts a transaction that writes; a standby does not.
pub(super) async fn check_writable(connected: &mut Connected) -> Result<(), DeliveryError> {
    run_raw(&mut connected.connection, "BEGIN", BEGIN, SHORT, &[]).await?;
    run_raw(&mut connected.connection, "ROLLBACK", "ROLLBACK", SHORT, &[]).await
}

/// Creates the ledger if it is missing, in a transaction of its own: concurrent runs do not wait for each other.
async fn create_ledger(connection: &mut PgConnection, schema: &str) -> Result<(), DeliveryError> {
    if ledger_exists(connection, schema).await? {
        return Ok(());
    }
    let ledger = format!("{}.{LEDGER}", quoted(schema));
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {ledger} (run uuid PRIMARY KEY, export text NOT NULL, \
         delivered_at timestamptz NOT NULL DEFAULT pg_catalog.now())"
    );
    let doing = format!("creating the table {ledger}, which does not exist");
    match run_raw(connection, &doing, &statement, SHORT, &[]).await {
        // Another run created it at the same time.
        Err(_) if ledger_exists(connection, schema).await? => Ok(()),
        created => created,
    }
}

async fn ledger_exists(connection: &mut PgConnection, schema: &str) -> Result<bool, DeliveryError> {
    let query = sqlx::query_scalar::<_, bool>(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2)",
    );
    let query = query.bind(schema.to_owned()).bind(LEDGER).persistent(false);
    within("looking up the ledger", SHORT, query.fetch_one(connection), &[]).await
}

/// Inserts the row of the run. Waits for another attempt that inserted it and did not end yet, and fails with LEASE_LOST if
/// that takes long. Returns whether the run was not delivered before.
async fn insert(connection: &mut PgConnection, schema: &str, run: Uuid, export: &str) -> Result<bool, DeliveryError> {
    let statement = AssertSqlSafe(format!(
        "INSERT INTO {}.{LEDGER} (run, export) VALUES ($1::uuid, $2) ON CONFLICT DO NOTHING",
        quoted(schema)
    ));
    let query = sqlx::query(statement).bind(run.to_string()).bind(export.to_owned()).persistent(false);
    let doing = "the row of the ledger";
    let done = tokio::time::timeout(SHORT, query.execute(connection)).await.map_err(|_| timed_out(doing))?;
    let inserted = done.map_err(|error| of_ledger(doing, &error))?;
    Ok(inserted.rows_affected() == 1)
}

async fn describe(connection: &mut PgConnection, table: &Table) -> Result<Vec<(bool, String)>, DeliveryError> {
    let query = sqlx::query_as::<_, (bool, String)>(DESCRIBE);
    let query = query.bind(table.schema.clone()).bind(table.table.clone()).persistent(false);
    within("looking up the table", SHORT, query.fetch_all(connection), &[]).await
}

/// Executes a statement without parameters.
async fn run_raw(
    connection: &mut PgConnection,
    doing: &str,
    statement: &str,
    limit: Duration,
    names: &[String],
) -> Result<(), DeliveryError> {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
    within(doing, limit, connection.execute(statement), names).await.map(drop)
}

async fn within<T>(
    doing: &str,
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
    names: &[String],
) -> Result<T, DeliveryError> {
    let done = tokio::time::timeout(limit, work).await.map_err(|_| timed_out(doing))?;
    done.map_err(|error| of_sqlx(doing, &error, names))
}
