//! The bare server with sqlx.

use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use outflow::grpc::proto as pb;
use outflow::model::Cursor;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Database, Encode, Executor, IntoArguments, Pool, Postgres, Row as _, Sqlite, Type};
use uuid::Uuid;

use super::rows::{NewExport, Row, connection, export, page};
use super::statements::Statements;
use super::{Bare, Page, id};
use crate::support::{Backend, TestServer};

/// Two pools, for reads and for writes, as in the service.
pub struct Sqlx<DB: Database> {
    read: Pool<DB>,
    write: Pool<DB>,
    /// The statement that begins a transaction for writes.
    begin: &'static str,
    statements: Statements,
}

/// Opens the pools of an SQLite file.
pub fn sqlite(server: &TestServer) -> (Pool<Sqlite>, Pool<Sqlite>) {
    let options = SqliteConnectOptions::from_str(&server.database_url).expect("a URL");
    let options = options
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(3))
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    let pool = |size| SqlitePoolOptions::new().max_connections(size).connect_lazy_with(options.clone());
    (pool(4), pool(1))
}

/// Opens the pools of a PostgreSQL database.
pub fn postgres(server: &TestServer) -> (Pool<Postgres>, Pool<Postgres>) {
    let options = PgConnectOptions::from_str(&server.database_url).expect("a URL").disable_statement_logging();
    let pool = |size| {
        let pool = PgPoolOptions::new().max_connections(size).test_before_acquire(false);
        pool.connect_lazy_with(options.clone())
    };
    (pool(10), pool(10))
}

impl Sqlx<Sqlite> {
    pub fn open(server: &TestServer) -> Self {
        let (read, write) = sqlite(server);
        Self { read, write, begin: "BEGIN IMMEDIATE", statements: Statements::new(Backend::Sqlite) }
    }
}

impl Sqlx<Postgres> {
    pub fn open(server: &TestServer) -> Self {
        let (read, write) = postgres(server);
        Self { read, write, begin: "BEGIN", statements: Statements::new(Backend::Postgres) }
    }
}

impl<DB> Bare for Sqlx<DB>
where
    DB: Database,
    DB::Row: Row,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB> + sqlx::Decode<'q, DB>,
    for<'q> Uuid: Encode<'q, DB> + Type<DB> + sqlx::Decode<'q, DB>,
    for<'q> Value: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB> + sqlx::Decode<'q, DB>,
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
    for<'q> &'q str: sqlx::ColumnIndex<DB::Row>,
    usize: sqlx::ColumnIndex<DB::Row>,
{
    async fn get(&self, id: &str) -> pb::Connection {
        let query = sqlx::query(self.statements.get_by_id).bind(id.to_owned());
        connection(&query.fetch_one(&self.read).await.expect("a row"))
    }

    async fn create(&self, request: pb::CreateExportRequest) -> pb::Export {
        let new = NewExport::of(&request);
        let name = request.export.expect("an export").connection;
        let own = format!("{}/exports/{}", request.parent, new.id);
        let mut transaction = self.write.begin_with(self.begin).await.expect("a transaction");
        let db = &mut *transaction;
        let found = sqlx::query(self.statements.find_usable).bind(id(&name).to_owned()).fetch_one(&mut *db).await;
        let target: Uuid = found.expect("usable").get(0);
        sqlx::query(self.statements.lock).bind(target).fetch_all(&mut *db).await.expect("locked");
        let row = sqlx::query(self.statements.get_usable).bind(target).fetch_one(&mut *db).await.expect("a row");
        assert!(!connection(&row).name.is_empty());
        let row =
            sqlx::query(self.statements.reserve_revision).bind(target).fetch_one(&mut *db).await.expect("reserved");
        let revision = row.number("attachment_revision");
        sqlx::query(self.statements.insert_export)
            .bind(new.uid)
            .bind(new.id.clone())
            .bind(new.display_name.clone())
            .bind(new.display_name.to_lowercase())
            .bind(target)
            .bind(revision)
            .bind(new.payload.clone())
            .bind(new.settings.clone())
            .bind(json!({}))
            .bind(new.time)
            .execute(&mut *db)
            .await
            .expect("inserted");
        sqlx::query(self.statements.insert_event)
            .bind(Uuid::now_v7())
            .bind(new.time)
            .bind(json!(["CONTRIBUTOR"]))
            .bind(own)
            .bind(new.uid)
            .bind(new.display_name.clone())
            .bind(json!(["display_name", "connection", "payload", "destination_settings"]))
            .bind(json!({}))
            .bind(new.after(&name))
            .bind(Uuid::new_v4().to_string())
            .execute(&mut *db)
            .await
            .expect("inserted");
        let row = sqlx::query(self.statements.read_export).bind(new.uid).fetch_one(&mut *db).await.expect("a row");
        let export = export(&row);
        transaction.commit().await.expect("committed");
        export
    }

    async fn find_uid(&self, id: &str) -> Uuid {
        let query = sqlx::query(self.statements.find_uid).bind(id.to_owned());
        query.fetch_one(&self.read).await.expect("a row").get(0)
    }

    async fn page(&self, cursor: Cursor) -> Page {
        let query = sqlx::query(self.statements.page).bind(cursor.connection.0).bind(cursor.last_revision);
        page(&query.fetch_all(&self.read).await.expect("a page"), cursor)
    }
}
