//! Transactions: each is retried after a conflict, rolled back after its deadline, and ends even if its call is cancelled.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::connect::ACQUIRE_TIMEOUT;
use super::database::Store;
use super::error::{self, DEADLINE};
use super::pool::Pool;
use super::session::Session;
use super::uninterrupted::Uninterrupted;
use crate::model::{Abort, Caller, Error, Result, Unavailable};

/// Maximum number of retries after a conflict.
const MAX_RETRIES: u32 = 5;
/// Delay before the first retry, doubled for each further one, plus random jitter of the same size.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// How long a background task may issue statements in one transaction on SQLite. It occupies the single writer, which
/// must be released within 50 ms.
const SQLITE_STATEMENT_BUDGET: Duration = Duration::from_millis(35);

/// An open transaction. No statement is started after its deadline.
pub struct Transaction {
    open: Mutex<Open>,
    pool: Pool,
    begun: Instant,
    deadline: Instant,
}

/// The connection of a transaction, and the rows that wait for it.
struct Open {
    session: Session,
    inserts: Vec<Statement>,
    exists: Vec<Exists>,
    /// Why rows were not inserted. The transaction is not committed then.
    failure: Option<Error>,
}

/// The error if the key of a row is in use.
pub struct Exists {
    /// The table of the row.
    pub table: &'static str,
    pub error: Error,
}

/// How a transaction ends after its work succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSuccess {
    /// Commit it.
    Commit,
    /// Roll it back (`validate_only`).
    Rollback,
}

impl Store {
    /// Runs `work` in a transaction for a call and commits it; retries it after a conflict with another transaction.
    ///
    /// `state` is owned by the transaction and passed to `work`. It is dropped after the transaction has ended.
    /// It holds the concurrency permit of the call, which is thus kept until then.
    pub async fn transact<S, T>(
        &self,
        holder: Option<&Arc<Caller>>,
        deadline: Instant,
        on_success: OnSuccess,
        state: S,
        work: impl for<'a> Fn(&'a Transaction, &'a S) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    ) -> Result<T>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run_transaction(self.write_pool().clone(), holder.cloned(), deadline, on_success, state, work).await
    }

    /// Runs `work` in a transaction for a background task: in its own pool on PostgreSQL, as the single writer on
    /// SQLite.
    pub async fn transact_in_background<S, T>(
        &self,
        deadline: Instant,
        state: S,
        work: impl for<'a> Fn(&'a Transaction, &'a S) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    ) -> Result<T>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run_transaction(self.background_write_pool().clone(), None, deadline, OnSuccess::Commit, state, work).await
    }

    async fn run_transaction<S, T>(
        &self,
        pool: Pool,
        holder: Option<Arc<Caller>>,
        deadline: Instant,
        on_success: OnSuccess,
        state: S,
        work: impl for<'a> Fn(&'a Transaction, &'a S) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    ) -> Result<T>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
    {
        let span = tracing::info_span!(target: "otel", "transaction", attempts = Empty);
        let work = async move {
            let mut attempt = 1;
            let result = loop {
                match run(&pool, holder.as_ref(), deadline, on_success, &state, &work).await {
                    Err(Error::Aborted(Abort::Conflict)) if attempt <= MAX_RETRIES => {
                        let pause = RETRY_PAUSE * 2_u32.pow(attempt - 1);
                        let pause = pause + pause.mul_f64(rand::random::<f64>());
                        if Instant::now() + pause >= deadline {
                            break Err(Error::DeadlineExceeded);
                        }
                        metrics::counter!("txn.retry").increment(1);
                        tokio::time::sleep(pause).await;
                        attempt += 1;
                    }
                    result => break result,
                }
            };
            tracing::Span::current().record("attempts", attempt);
            result
        };
        Uninterrupted::new(self.tasks(), work.instrument(span)).await
    }
}

/// One attempt, in its own transaction.
async fn run<S: Sync, T>(
    pool: &Pool,
    holder: Option<&Arc<Caller>>,
    deadline: Instant,
    on_success: OnSuccess,
    state: &S,
    work: &(impl for<'a> Fn(&'a Transaction, &'a S) -> BoxFuture<'a, Result<T>> + Send + Sync),
) -> Result<T> {
    let mut lease = pool.lease(holder, ACQUIRE_TIMEOUT).await?;
    if Instant::now() >= deadline {
        lease.end().await;
        return Err(Error::DeadlineExceeded);
    }
    let mut session = lease.take().await?;
    if let Err(error) = session.begin().await {
        lease.put(session);
        return Err(error.into());
    }
    pool.last_response().note();
    let open = Mutex::new(Open { session, inserts: Vec::new(), exists: Vec::new(), failure: None });
    let transaction = Transaction { open, pool: pool.clone(), begun: Instant::now(), deadline };
    let result = work(&transaction, state).await;
    let mut open = transaction.open.into_inner();
    // On PostgreSQL an insert can wait for another transaction, so the deadline is checked again after it.
    let can_wait = pool.connections().get_database_backend() == DbBackend::Postgres;
    if result.is_ok() && (can_wait || on_success == OnSuccess::Rollback) && Instant::now() < deadline {
        // An error of it is kept as the failure.
        drop(open.flush().await);
    }
    let result = match open.failure.take().map_or(result, Err) {
        Ok(_) if Instant::now() >= deadline => Err(Error::DeadlineExceeded),
        Ok(value) if on_success == OnSuccess::Commit => open.commit(pool.has_waiting()).await.map(|()| value),
        result => result,
    };
    let mut session = open.session;
    let is_committed = result.is_ok() && on_success == OnSuccess::Commit;
    if is_committed {
        pool.last_response().note();
    }
    // Dropping a connection that no longer responds ends its transaction. Others that have not ended are not used again.
    if !is_committed && !matches!(result, Err(Error::Unavailable(Unavailable::Database))) {
        // The result takes precedence over an error of the rollback.
        if let Err(error) = session.rollback().await {
            tracing::debug!(%error, "failed to roll back a transaction");
        }
    }
    lease.put(session);
    lease.end().await;
    result
}

impl Transaction {
    /// Whether a background task may issue another statement. Always on PostgreSQL, which has several writers.
    pub fn is_within_budget(&self) -> bool {
        self.get_database_backend() != DbBackend::Sqlite || self.begun.elapsed() < SQLITE_STATEMENT_BUDGET
    }

    /// Inserts a row together with others, before the next statement or the commit: each statement is a round trip to PostgreSQL,
    /// or a switch to the thread of SQLite and back. The order of rows that wait together is not defined, none is inserted twice,
    /// and at most one of a table has an `exists`.
    pub async fn insert(&self, statement: Statement, exists: Option<Exists>) {
        let mut open = self.open.lock().await;
        open.inserts.push(statement);
        open.exists.extend(exists);
    }

    /// The connection, for a statement.
    async fn session(&self) -> Result<MappedMutexGuard<'_, Session>, DbErr> {
        if Instant::now() >= self.deadline {
            return Err(DbErr::Custom(DEADLINE.to_owned()));
        }
        let mut open = self.open.lock().await;
        open.flush().await?;
        Ok(MutexGuard::map(open, |open| &mut open.session))
    }
}

impl Open {
    /// Inserts the rows that wait.
    async fn flush(&mut self) -> Result<(), DbErr> {
        let failed = || DbErr::Custom("rows were not inserted".to_owned());
        if self.failure.is_none() && !self.inserts.is_empty() {
            // It remains if this future is dropped.
            self.failure = Some(failed().into());
            let exists = mem::take(&mut self.exists);
            let inserted = self.session.insert(mem::take(&mut self.inserts)).await;
            self.failure = inserted.err().map(|cause| error_of(cause, exists));
        }
        if self.failure.is_none() { Ok(()) } else { Err(failed()) }
    }

    /// Inserts the rows that wait, and commits the transaction. With `begin_next`, the next one begins.
    async fn commit(&mut self, begin_next: bool) -> Result<()> {
        let committed = self.session.commit(mem::take(&mut self.inserts), begin_next).await;
        committed.map_err(|cause| error_of(cause, mem::take(&mut self.exists)))
    }
}

/// The error of inserts.
fn error_of(cause: DbErr, exists: Vec<Exists>) -> Error {
    let table = error::table_of_existing(&cause);
    let exists = table.and_then(|table| exists.into_iter().find(|exists| exists.table == table));
    exists.map_or_else(|| cause.into(), |exists| exists.error)
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.connections().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.session().await?.execute(statement).await.inspect(|_| self.pool.last_response().note())
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.session().await?.execute_unprepared(sql).await.inspect(|_| self.pool.last_response().note())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.session().await?.query_one(statement).await.inspect(|_| self.pool.last_response().note())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.session().await?.query_all(statement).await.inspect(|_| self.pool.last_response().note())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;

    fn insert(db: &Transaction, number: i64) -> impl Future<Output = ()> {
        let statement = "INSERT INTO numbers VALUES (?)";
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, statement, [number.into()]);
        let error = Error::AlreadyExists(ResourceKind::Export, number.to_string());
        db.insert(statement, (number == 1).then_some(Exists { table: "numbers", error }))
    }

    /// Inserts these rows. After more than two it runs a statement, and ignores its error.
    fn insert_all<'a>(db: &'a Transaction, numbers: &'a Vec<i64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for number in numbers {
                insert(db, *number).await;
            }
            if numbers.len() > 2 {
                drop(db.execute_unprepared("INSERT INTO numbers VALUES (100)").await);
            }
            Ok(())
        })
    }

    #[tokio::test]
    async fn a_transaction_fails_if_a_row_is_not_inserted() {
        let directory = tempfile::tempdir().unwrap();
        let pool = Pool::of_writer(directory.path());
        let reader = pool.reader(None, ACQUIRE_TIMEOUT);
        reader.execute_unprepared("CREATE TABLE numbers (number INTEGER PRIMARY KEY)").await.unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        let run = async |numbers: &[i64], on_success| {
            run(&pool, None, deadline, on_success, &numbers.to_vec(), &insert_all).await
        };

        run(&[1], OnSuccess::Commit).await.unwrap();
        for numbers in [&[2, 1][..], &[2, 1, 3]] {
            for on_success in [OnSuccess::Commit, OnSuccess::Rollback] {
                let failed = run(numbers, on_success).await.unwrap_err();
                assert!(matches!(&failed, Error::AlreadyExists(_, name) if name == "1"), "{numbers:?}: {failed:?}");
            }
        }
        run(&[4], OnSuccess::Rollback).await.unwrap();
        run(&[5], OnSuccess::Commit).await.unwrap();
        let rows = Statement::from_string(DbBackend::Sqlite, "SELECT number FROM numbers ORDER BY number");
        let rows = reader.query_all_raw(rows).await.unwrap();
        let stored: Vec<i64> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(stored, [1, 5]);
    }
}
