//! Transactions: each in a task of its own, retried when it lost against another, rolled back when its time is over.
//!
//! A caller that leaves drops the future of its call at any point. Were the transaction part of that future, its
//! connection could go back to the pool inside an open transaction (sqlx #4385, #4409); as a task it always ends.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait as _,
};

use super::Store;
use super::connect::with_client_timeout;
use super::error::DEADLINE;
use crate::model::{Abort, Error, Result};

/// How often a transaction is begun again after it lost against another.
const RETRIES: u32 = 5;
/// The pause before the first repetition, doubled before each further one, plus as much again by chance.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// An open transaction; no statement is begun after its deadline.
pub struct Transaction {
    inner: DatabaseTransaction,
    deadline: Instant,
}

/// What becomes of a transaction whose work succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSuccess {
    /// It is committed.
    Commit,
    /// It was a rehearsal and leaves nothing.
    Rollback,
}

impl Store {
    /// Runs `work` in a transaction, again if it lost against another, and commits it.
    ///
    /// `state` lives as long as the transaction: what the work reads, and the call's place among those in flight.
    pub async fn transact<K, T>(
        &self,
        deadline: Instant,
        on_success: OnSuccess,
        state: K,
        work: impl for<'a> Fn(&'a Transaction, &'a K) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    ) -> Result<T>
    where
        K: Send + Sync + 'static,
        T: Send + 'static,
    {
        let store = self.clone();
        let task = self.tasks().spawn(async move {
            let mut attempt = 0;
            loop {
                match store.attempt(deadline, on_success, &state, &work).await {
                    Err(Error::Aborted(Abort::Conflict)) if attempt < RETRIES => {
                        let pause = RETRY_PAUSE * 2_u32.pow(attempt);
                        let pause = pause + pause.mul_f64(rand::random::<f64>());
                        if Instant::now() + pause >= deadline {
                            return Err(Error::DeadlineExceeded);
                        }
                        tokio::time::sleep(pause).await;
                        attempt += 1;
                    }
                    answer => return answer,
                }
            }
        });
        task.await.map_err(Error::internal)?
    }

    async fn attempt<K, T>(
        &self,
        deadline: Instant,
        on_success: OnSuccess,
        state: &K,
        work: &(impl for<'a> Fn(&'a Transaction, &'a K) -> BoxFuture<'a, Result<T>> + Send + Sync),
    ) -> Result<T>
    where
        K: Sync,
    {
        let _permit = self.write_permit().await?;
        if Instant::now() >= deadline {
            return Err(Error::DeadlineExceeded);
        }
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let backend = self.write_pool().get_database_backend();
        let inner = with_client_timeout(backend, self.write_pool().begin_with_options(options)).await?;
        let transaction = Transaction { inner, deadline };
        let answer = work(&transaction, state).await;
        match (&answer, on_success) {
            (Ok(_), OnSuccess::Commit) if Instant::now() < deadline => {
                with_client_timeout(backend, transaction.inner.commit()).await?;
            }
            (Ok(_), OnSuccess::Commit) => {
                with_client_timeout(backend, transaction.inner.rollback()).await?;
                return Err(Error::DeadlineExceeded);
            }
            // The connection answers nothing more: whoever drops it says that it is over.
            (Err(Error::Unavailable(_)), _) => {}
            (Err(_), _) | (_, OnSuccess::Rollback) => {
                // The answer matters more than a rollback that fails with the connection.
                if let Err(error) = with_client_timeout(backend, transaction.inner.rollback()).await {
                    tracing::debug!(%error, "a rollback failed");
                }
            }
        }
        answer
    }
}

impl Transaction {
    fn check_deadline(&self) -> Result<(), DbErr> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(DbErr::Custom(DEADLINE.to_owned())) }
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.check_deadline()?;
        with_client_timeout(self.get_database_backend(), self.inner.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.check_deadline()?;
        with_client_timeout(self.get_database_backend(), self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.check_deadline()?;
        with_client_timeout(self.get_database_backend(), self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.check_deadline()?;
        with_client_timeout(self.get_database_backend(), self.inner.query_all_raw(statement)).await
    }
}
