//! The bare server with sqlx.

use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use outflow::grpc::proto as pb;
use outflow::model::{ConnectionUid, Cursor, Role};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Database, Encode, Executor, IntoArguments, Pool, Postgres, Sqlite, Type};
use uuid::Uuid;

use super::changes::{NewExport, stored};
use super::rows::{Page, Row, connection, list, page, snapshot};
use super::statements::{FIND_UID, INSERT_EVENT, INSERT_EXPORT, Statements};
use super::{Bare, id};
use crate::support::Backend;

/// Two pools, for reads and for writes, as in the service.
pub struct Sqlx<DB: Database> {
    read: Pool<DB>,
    write: Pool<DB>,
    /// The statement that begins a transaction for writes.
    begin: &'static str,
    statements: Statements,
}

/// Opens the pools of an SQLite file.
pub fn sqlite(url: &str) -> (Pool<Sqlite>, Pool<Sqlite>) {
    let options = SqliteConnectOptions::from_str(url).expect("a URL");
    let options = options
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(3))
        .row_buffer_size(512)
        .pragma("secure_delete", "ON")
        .disable_statement_logging();
    let pool = |size| {
        let pool = SqlitePoolOptions::new().max_connections(size).test_before_acquire(false);
        pool.connect_lazy_with(options.clone())
    };
    (pool(4), pool(1))
}

/// Opens the pools of a PostgreSQL database.
pub fn postgres(url: &str) -> (Pool<Postgres>, Pool<Postgres>) {
    let options = PgConnectOptions::from_str(url).expect("a URL").disable_statement_logging();
    let pool = |size| {
        let pool = PgPoolOptions::new().max_connections(size).test_before_acquire(false);
        pool.connect_lazy_with(options.clone())
    };
    (pool(10), pool(10))
}

impl Sqlx<Sqlite> {
    pub fn open(url: &str, role: Role) -> Self {
        let (read, write) = sqlite(url);
        Self { read, write, begin: "BEGIN IMMEDIATE", statements: Statements::new(Backend::Sqlite, role) }
    }
}

impl Sqlx<Postgres> {
    pub fn open(url: &str, role: Role) -> Self {
        let (read, write) = postgres(url);
        Self { read, write, begin: "BEGIN", statements: Statements::new(Backend::Postgres, role) }
    }
}

impl<DB> Bare for Sqlx<DB>
where
    DB: Database,
    DB::Row: Row,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'q> &'q str: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> Uuid: Encode<'q, DB> + Type<DB>,
    for<'q> Value: Encode<'q, DB> + Type<DB>,
    for<'q> Option<Value>: Encode<'q, DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> DateTime<Utc>: Encode<'q, DB> + Type<DB>,
    for<'q> Option<DateTime<Utc>>: Encode<'q, DB>,
{
    async fn get(&self, id: &str) -> pb::Connection {
        let query = sqlx::query(self.statements.get_by_id).bind(id.to_owned());
        connection(&query.fetch_one(&self.read).await.expect("a row")).0
    }

    async fn list(&self) -> pb::ListConnectionsResponse {
        list(&sqlx::query(self.statements.list).fetch_all(&self.read).await.expect("a page"))
    }

    async fn create_export(&self, request: pb::CreateExportRequest) -> pb::Export {
        let new = NewExport::of(request);
        let caller = self.statements.caller;
        let event = new.event(caller);
        let mut transaction = self.write.begin_with(self.begin).await.expect("a transaction");
        let db = &mut *transaction;
        let query = sqlx::query(self.statements.lock_usable).bind(id(&new.connection).to_owned());
        let target: Uuid = query.fetch_one(&mut *db).await.expect("usable").value(0);
        let row = sqlx::query(self.statements.reserve_usable).bind(target).fetch_one(&mut *db).await.expect("reserved");
        let (reserved, revision) = connection(&row);
        assert_eq!(reserved.name, new.connection);
        sqlx::query(INSERT_EXPORT)
            .bind(new.uid)
            .bind(new.id.clone())
            .bind(new.display_name.clone())
            .bind(new.display_name.to_lowercase())
            .bind(target)
            .bind(revision)
            .bind(stored(&new.payload))
            .bind(new.schedule.as_ref().map(stored))
            .bind(new.settings.clone())
            .bind(new.next_due_time)
            .bind(json!({}))
            .bind(caller.principal)
            .bind(new.time)
            .bind(caller.member)
            .execute(&mut *db)
            .await
            .expect("inserted");
        sqlx::query(INSERT_EVENT)
            .bind(event.uid)
            .bind(event.time)
            .bind(caller.principal)
            .bind(json!([caller.role]))
            .bind(event.method)
            .bind(event.resource)
            .bind(event.resource_uid)
            .bind(event.display_name)
            .bind(json!(event.fields))
            .bind(event.before)
            .bind(event.after)
            .bind(event.call_id)
            .execute(&mut *db)
            .await
            .expect("inserted");
        transaction.commit().await.expect("committed");
        new.into_export(reserved, caller).into_message()
    }

    async fn start(&self, id: &str) -> Cursor {
        let query = sqlx::query(FIND_UID).bind(id.to_owned());
        let uid: Uuid = query.fetch_one(&self.read).await.expect("a row").value(0);
        let query = sqlx::query(self.statements.snapshot).bind(uid);
        super::start(ConnectionUid(uid), snapshot(&query.fetch_one(&self.read).await.expect("a row")))
    }

    async fn page(&self, cursor: Cursor) -> Page {
        let query = sqlx::query(self.statements.page).bind(cursor.connection.0).bind(cursor.last_revision);
        page(&query.fetch_all(&self.read).await.expect("a page"), cursor)
    }
}
