//! The janitor: removes what is past its time, a little at a time, so that nobody notices.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::App;
use crate::store::retention::{self, Retention};
use crate::store::{OnSuccess, ReadContext};

/// When the janitor comes, and what it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JanitorSettings {
    /// The pause between two rounds.
    pub every: Duration,
    /// How long things are kept.
    pub retention: Retention,
}

/// The pause between two batches of one round.
const BREATH: Duration = Duration::from_millis(100);
/// How long a batch may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

impl App {
    /// Comes by until the service stops.
    pub async fn keep_tidy_until(self, settings: JanitorSettings, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(settings.every) => {}
            }
            while self.tidy(settings.retention).await > 0 && !stop.is_cancelled() {
                tokio::time::sleep(BREATH).await;
            }
        }
    }

    /// Removes one batch of everything that is past its time, and says how many rows went.
    pub async fn tidy(&self, retention: Retention) -> u64 {
        let read_context = self.0.store.read_context().clone();
        let deadline = Instant::now() + BATCH_TIMEOUT;
        let work = (read_context, retention);
        let swept = self.0.store.transact(deadline, OnSuccess::Commit, work, |db, (read_context, retention): &(ReadContext, _)| {
            Box::pin(retention::sweep(db, read_context, retention))
        });
        match swept.await {
            Ok(removed) => removed.unwrap_or(0),
            Err(error) => {
                tracing::warn!(?error, "what is past its time could not be removed");
                0
            }
        }
    }
}
