//! Deletes expired rows in small batches.

use std::time::{Duration, Instant};

use super::task::{Task, TaskError};
use crate::model::Result;
use crate::store::retention::{ExpiringRows, delete_expired};
use crate::store::{ReadContext, Retention, Store};

/// The time between two runs.
const INTERVAL: Duration = Duration::from_mins(1);
/// The pause between two batches of a run.
const BATCH_PAUSE: Duration = Duration::from_millis(100);
/// How long one batch may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Deletes rows that are older than their retention.
pub struct RetentionJob {
    store: Store,
    retention: Retention,
}

impl RetentionJob {
    /// Deletes rows of a store.
    pub fn new(store: Store, retention: Retention) -> Self {
        Self { store, retention }
    }

    /// Deletes all expired rows in batches, and returns their number. A failure of one kind does not stop the others.
    pub async fn delete(&self) -> Result<u64> {
        let (mut deleted, mut result) = (0, Ok(()));
        loop {
            let mut rows = 0;
            // Every kind each time: a long backlog of one does not delay the others.
            for kind in ExpiringRows::ALL {
                match self.delete_batch(kind).await {
                    Ok(batch) => rows += batch,
                    Err(error) => result = Err(error),
                }
            }
            if rows == 0 {
                break;
            }
            deleted += rows;
            tokio::time::sleep(BATCH_PAUSE).await;
        }
        result.map(|()| deleted)
    }

    async fn delete_batch(&self, kind: ExpiringRows) -> Result<u64> {
        let state = (self.store.read_context().clone(), self.retention);
        let batch = self.store.transact_in_background(
            Instant::now() + BATCH_TIMEOUT,
            state,
            move |db, (read_context, retention): &(ReadContext, Retention)| {
                Box::pin(delete_expired(db, read_context, kind, retention))
            },
        );
        batch.await
    }
}

#[async_trait::async_trait]
impl Task for RetentionJob {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        self.delete().await.map(drop).map_err(Into::into)
    }
}
