//! Sessions: open connections that run one statement after the other.
//!
//! SeaORM builds statements, and sqlx runs them here. In a pool of SeaORM each statement would return its connection to the pool
//! of sqlx, which then tests it: a round trip to PostgreSQL, or two thread switches with SQLite, for every statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use sea_orm::sea_query::Values;
use sea_orm::{ConnAcquireErr, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Either, Executor as _, Postgres, Sqlite};
use tracing::Instrument as _;

use super::statement::{combined, sequence, span};

/// Client-side timeout of a statement; longer than the database's own `statement_timeout`.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Age at which a connection goes back to its pool, which tests it, and closes it when it is old.
const MAX_AGE: Duration = Duration::from_secs(30);
/// How long a transaction that was begun for the next call can be used.
const MAX_BEGUN: Duration = Duration::from_secs(1);
/// How long a statement of a reader may run on SQLite.
const SQLITE_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Instructions of SQLite between two checks of the timeout: about a millisecond.
const SQLITE_INSTRUCTIONS_PER_CHECK: i32 = 100_000;

/// An open connection, which goes back to its pool when it is dropped.
pub struct Session {
    connection: Connection,
    opened: Instant,
    progress: Progress,
    in_transaction: bool,
    /// When the last commit began a transaction for the next call, which has not taken it yet.
    begun: Option<Instant>,
}

enum Connection {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

struct Progress {
    /// Whether the last statement has ended without an error.
    is_idle: bool,
    /// When the statement of a reader ends; `None` for PostgreSQL, which has a timeout of its own, and for writers.
    sqlite_end: Option<StatementEnd>,
    client_timeout: Option<Duration>,
}

/// When a statement ends, in milliseconds after `start`.
#[derive(Clone)]
struct StatementEnd {
    start: Instant,
    millis: Arc<AtomicU64>,
}

impl Session {
    /// Acquires a connection. With `is_reader`, SQLite ends statements that run for more than 5 s.
    pub async fn open(pool: &DatabaseConnection, is_reader: bool) -> Result<Self, DbErr> {
        let (mut sqlite_end, mut client_timeout) = (None, None);
        let connection = if pool.get_database_backend() == DbBackend::Sqlite {
            let mut connection = pool.get_sqlite_connection_pool().acquire().await.map_err(not_acquired)?;
            if is_reader {
                let end = StatementEnd { start: Instant::now(), millis: Arc::default() };
                sqlite_end = Some(end.clone());
                let mut handle = connection.lock_handle().await.map_err(not_acquired)?;
                handle.set_progress_handler(SQLITE_INSTRUCTIONS_PER_CHECK, move || !end.is_over());
            }
            Connection::Sqlite(connection)
        } else {
            client_timeout = Some(CLIENT_TIMEOUT);
            Connection::Postgres(pool.get_postgres_connection_pool().acquire().await.map_err(not_acquired)?)
        };
        let progress = Progress { is_idle: true, sqlite_end, client_timeout };
        Ok(Self { connection, opened: Instant::now(), progress, in_transaction: false, begun: None })
    }

    /// Whether the last statement failed or has not ended, or the transaction has not ended.
    pub fn has_failed(&self) -> bool {
        !self.progress.is_idle || self.in_transaction
    }

    /// Whether another statement can use it: it has not failed and is not too old.
    pub fn is_reusable(&self) -> bool {
        !self.has_failed()
            && self.opened.elapsed() < MAX_AGE
            && self.begun.is_none_or(|begun| begun.elapsed() < MAX_BEGUN)
    }

    /// Whether the last commit began a transaction for the next call.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Begins a transaction, on SQLite with the lock for writes: a transaction that takes it later can fail.
    pub async fn begin(&mut self) -> Result<(), DbErr> {
        self.in_transaction = true;
        if self.begun.take().is_some() {
            return Ok(());
        }
        let is_sqlite = matches!(self.connection, Connection::Sqlite(_));
        self.execute_unprepared(if is_sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await.map(drop)
    }

    /// Runs inserts and commits the transaction, on SQLite with one switch to its thread and back. With `begin_next`, the next one
    /// begins without a round trip of its own.
    pub async fn commit(&mut self, inserts: Vec<Statement>, begin_next: bool) -> Result<(), DbErr> {
        let begin_next = begin_next && self.opened.elapsed() + MAX_BEGUN < MAX_AGE;
        let has_begun = if self.backend() == DbBackend::Sqlite {
            // Once COMMIT is completed, BEGIN may fail: another process has taken the lock for writes.
            let required = inserts.len() + 1;
            let end: &[_] = if begin_next { &["COMMIT", "BEGIN IMMEDIATE"] } else { &["COMMIT"] };
            self.run_batch(inserts, end, required).await? > required
        } else {
            self.insert(inserts).await?;
            self.execute_unprepared(if begin_next { "COMMIT AND CHAIN" } else { "COMMIT" }).await?;
            begin_next
        };
        self.in_transaction = false;
        self.begun = has_begun.then(Instant::now);
        Ok(())
    }

    /// Rolls the transaction back.
    pub async fn rollback(&mut self) -> Result<(), DbErr> {
        self.begun = None;
        self.execute_unprepared("ROLLBACK").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Runs a statement and returns the number of affected rows.
    pub async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (span, sql, values) = parts(statement);
        let result = async {
            match &mut self.connection {
                Connection::Postgres(db) => sqlx::query_with(sql, values).execute(&mut **db).await.map(Into::into),
                Connection::Sqlite(db) => sqlx::query_with(sql, values).execute(&mut **db).await.map(Into::into),
            }
        };
        self.progress.complete(result, DbErr::Exec).instrument(span).await
    }

    /// Runs inserts, as one statement on PostgreSQL and as one text on SQLite.
    pub async fn insert(&mut self, inserts: Vec<Statement>) -> Result<(), DbErr> {
        if inserts.is_empty() {
            return Ok(());
        }
        let required = inserts.len();
        let Connection::Postgres(db) = &mut self.connection else {
            return self.run_batch(inserts, &[], required).await.map(drop);
        };
        let span = span(DbBackend::Postgres, &sequence(&inserts, &[]));
        let (sql, values) = arguments(combined(inserts));
        let result = async { sqlx::query_with(sql, values).execute(&mut **db).await };
        self.progress.complete(result, DbErr::Exec).instrument(span).await.map(drop)
    }

    /// Runs inserts and the statements of `end` on SQLite, with one switch to its thread and back. Returns how many were
    /// completed; those after the first `required` may fail.
    ///
    /// They are one text for sqlx, which supports this on SQLite alone.
    async fn run_batch(&mut self, inserts: Vec<Statement>, end: &[&str], required: usize) -> Result<usize, DbErr> {
        let Connection::Sqlite(db) = &mut self.connection else {
            return Err(DbErr::Custom("a batch of statements on PostgreSQL".to_owned()));
        };
        let sql = sequence(&inserts, end);
        let values = inserts.into_iter().filter_map(|insert| insert.values).flat_map(|values| values.0).collect();
        let span = span(DbBackend::Sqlite, &sql);
        let query = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(Values(values)));
        let mut completed = 0;
        let result = async {
            let mut results = (&mut **db).fetch_many(query);
            loop {
                match results.try_next().await {
                    Ok(Some(Either::Left(_))) => completed += 1,
                    Ok(Some(Either::Right(_))) => {}
                    _ if completed >= required => return Ok(()),
                    Ok(None) => return Err(sqlx::Error::WorkerCrashed),
                    Err(cause) => return Err(cause),
                }
            }
        };
        self.progress.complete(result, DbErr::Exec).instrument(span).await?;
        Ok(completed)
    }

    /// Runs statements without parameters.
    pub async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let span = span(self.backend(), sql);
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let result = async {
            match &mut self.connection {
                Connection::Postgres(db) => db.execute(query).await.map(Into::into),
                Connection::Sqlite(db) => db.execute(query).await.map(Into::into),
            }
        };
        self.progress.complete(result, DbErr::Exec).instrument(span).await
    }

    /// Runs a statement and returns the first row.
    pub async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (span, sql, values) = parts(statement);
        let result = async {
            match &mut self.connection {
                Connection::Postgres(db) => {
                    let row = sqlx::query_with(sql, values).fetch_optional(&mut **db).await?;
                    Ok(row.map(Into::into))
                }
                Connection::Sqlite(db) => {
                    let row = sqlx::query_with(sql, values).fetch_optional(&mut **db).await?;
                    Ok(row.map(Into::into))
                }
            }
        };
        self.progress.complete(result, DbErr::Query).instrument(span).await
    }

    /// Runs a statement and returns all rows.
    pub async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (span, sql, values) = parts(statement);
        let result = async {
            match &mut self.connection {
                Connection::Postgres(db) => {
                    let rows = sqlx::query_with(sql, values).fetch_all(&mut **db).await?;
                    Ok(rows.into_iter().map(Into::into).collect())
                }
                Connection::Sqlite(db) => {
                    let rows = sqlx::query_with(sql, values).fetch_all(&mut **db).await?;
                    Ok(rows.into_iter().map(Into::into).collect())
                }
            }
        };
        self.progress.complete(result, DbErr::Query).instrument(span).await
    }

    fn backend(&self) -> DbBackend {
        match self.connection {
            Connection::Postgres(_) => DbBackend::Postgres,
            Connection::Sqlite(_) => DbBackend::Sqlite,
        }
    }
}

impl Progress {
    /// Waits for the result of a statement. PostgreSQL has 8 s: `statement_timeout` cannot fire when the server is unreachable.
    async fn complete<T>(
        &mut self,
        result: impl Future<Output = Result<T, sqlx::Error>>,
        failed: fn(RuntimeErr) -> DbErr,
    ) -> Result<T, DbErr> {
        // It remains false if the statement fails, or if this future is dropped.
        self.is_idle = false;
        if let Some(end) = &self.sqlite_end {
            end.set(SQLITE_READ_TIMEOUT);
        }
        let result = match self.client_timeout {
            Some(timeout) => tokio::time::timeout(timeout, result)
                .await
                .map_err(|_| DbErr::Conn(RuntimeErr::Internal("no response from the database".to_owned())))?,
            None => result.await,
        };
        let result = result.map_err(|cause| failed(RuntimeErr::SqlxError(Arc::new(cause))))?;
        self.is_idle = true;
        Ok(result)
    }
}

impl StatementEnd {
    fn set(&self, timeout: Duration) {
        let end = self.start.elapsed() + timeout;
        self.millis.store(u64::try_from(end.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.start.elapsed().as_millis() >= self.millis.load(Ordering::Relaxed).into()
    }
}

fn parts(statement: Statement) -> (tracing::Span, AssertSqlSafe<String>, SqlxValues) {
    let span = span(statement.db_backend, &statement.sql);
    let (sql, values) = arguments(statement);
    (span, sql, values)
}

fn arguments(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    (AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or_else(|| Values(Vec::new()))))
}

fn not_acquired(cause: sqlx::Error) -> DbErr {
    if matches!(cause, sqlx::Error::PoolTimedOut) {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
    } else if matches!(cause, sqlx::Error::PoolClosed) {
        DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
    } else {
        DbErr::Conn(RuntimeErr::SqlxError(Arc::new(cause)))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    use super::*;
    use crate::store::error::table_of_existing;

    /// Opens a connection to the file, which does not wait for locks.
    async fn open(directory: &tempfile::TempDir) -> Session {
        let options = SqliteConnectOptions::new().filename(directory.path().join("outflow.db")).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).busy_timeout(Duration::ZERO);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
        Session::open(&pool.into(), false).await.unwrap()
    }

    async fn count(session: &mut Session) -> i64 {
        let count = Statement::from_string(DbBackend::Sqlite, "SELECT count(*) AS rows FROM numbers");
        session.query_one(count).await.unwrap().unwrap().try_get("", "rows").unwrap()
    }

    #[tokio::test]
    async fn a_transaction_begins_with_the_commit_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (open(&directory).await, open(&directory).await);
        first.begin().await.unwrap();
        first.execute_unprepared("CREATE TABLE numbers (number INTEGER)").await.unwrap();
        first.commit(Vec::new(), true).await.unwrap();
        assert!(first.has_begun() && !first.has_failed());
        assert_eq!(count(&mut second).await, 0, "it is committed");
        assert!(second.begin().await.is_err(), "the next transaction has the lock for writes");

        first.begin().await.unwrap();
        assert!(!first.has_begun());
        first.execute_unprepared("INSERT INTO numbers VALUES (1)").await.unwrap();
        first.rollback().await.unwrap();
        second.begin().await.unwrap();
        assert_eq!(count(&mut second).await, 0, "it is rolled back");

        // COMMIT succeeds, and BEGIN IMMEDIATE fails.
        first.execute_unprepared("BEGIN").await.unwrap();
        first.in_transaction = true;
        first.commit(Vec::new(), true).await.unwrap();
        assert!(!first.has_begun() && !first.has_failed(), "another connection has the lock");
        second.commit(Vec::new(), false).await.unwrap();
        first.begin().await.unwrap();
        first.commit(Vec::new(), false).await.unwrap();
    }

    #[tokio::test]
    async fn inserts_are_committed_together_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (open(&directory).await, open(&directory).await);
        first.execute_unprepared("CREATE TABLE numbers (number INTEGER PRIMARY KEY)").await.unwrap();
        let inserts = |numbers: &[i64]| {
            let insert = |&number: &i64| {
                Statement::from_sql_and_values(DbBackend::Sqlite, "INSERT INTO numbers VALUES (?)", [number.into()])
            };
            numbers.iter().map(insert).collect()
        };
        first.begin().await.unwrap();
        first.insert(inserts(&[1])).await.unwrap();
        first.commit(inserts(&[2, 3]), true).await.unwrap();
        assert!(first.has_begun());
        assert_eq!(count(&mut second).await, 3);

        first.begin().await.unwrap();
        let failed = first.commit(inserts(&[4, 2, 5]), true).await.unwrap_err();
        assert_eq!(table_of_existing(&failed), Some("numbers"), "{failed}");
        assert!(first.has_failed() && !first.has_begun());
        first.rollback().await.unwrap();
        assert_eq!(count(&mut second).await, 3);
        second.begin().await.unwrap();
    }

    #[tokio::test]
    async fn a_failed_commit_does_not_begin_a_transaction() {
        let directory = tempfile::tempdir().unwrap();
        let mut session = open(&directory).await;
        session.execute_unprepared("CREATE TABLE numbers (number INTEGER PRIMARY KEY)").await.unwrap();
        let deferred = "CREATE TABLE uses (number INTEGER REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)";
        session.execute_unprepared(deferred).await.unwrap();
        session.begin().await.unwrap();
        session.execute_unprepared("INSERT INTO uses VALUES (1)").await.unwrap();
        session.commit(Vec::new(), true).await.unwrap_err();
        assert!(session.has_failed() && !session.has_begun());
        session.rollback().await.unwrap();
        assert_eq!(count(&mut session).await, 0);
    }
}
