//! Writes one attempt of a run: copies chunks in a transaction that ends with `commit`.

use super::session::Session;
use super::target::Table;
use crate::delivery::destinations::Writer;
use crate::delivery::{Chunk, DeliveryError, FileSummary, Manifest, OutputFile};
use crate::model::FailureCode;

/// Holds the transaction of the run.
pub(super) struct PostgresqlWriter {
    /// `None` after a failure or the end: the transaction is rolled back or committed.
    session: Option<Session>,
    table: Table,
    copy_statement: Option<String>,
}

impl PostgresqlWriter {
    /// Writes within a transaction that was begun.
    pub(super) fn new(session: Session, table: Table) -> Self {
        Self { session: Some(session), table, copy_statement: None }
    }

    /// Takes the session; what fails afterwards, or is cancelled, drops it.
    fn take_session(&mut self) -> Result<Session, DeliveryError> {
        self.session.take().ok_or_else(|| DeliveryError::new(FailureCode::Internal, "the transaction has ended"))
    }
}

#[async_trait::async_trait]
impl Writer for PostgresqlWriter {
    async fn start_file(&mut self, file: &OutputFile) -> Result<(), DeliveryError> {
        let session = self.take_session()?;
        self.copy_statement = Some(session.copy_statement(&self.table, &file.fields)?);
        self.session = Some(session);
        Ok(())
    }

    async fn write(&mut self, chunk: Chunk) -> Result<(), DeliveryError> {
        let mut session = self.take_session()?;
        let statement = self.copy_statement.as_ref();
        let statement = statement.ok_or_else(|| DeliveryError::new(FailureCode::Internal, "rows without a table"))?;
        session.copy(statement, &chunk.bytes).await?;
        self.session = Some(session);
        Ok(())
    }

    async fn finish_file(&mut self, _summary: &FileSummary) -> Result<(), DeliveryError> {
        self.copy_statement = None;
        Ok(())
    }

    async fn commit(&mut self, _manifest: &Manifest) -> Result<(), DeliveryError> {
        self.take_session()?.commit().await
    }

    /// Closes the connection: the server rolls back.
    async fn abort(&mut self) {
        self.session = None;
    }
}
