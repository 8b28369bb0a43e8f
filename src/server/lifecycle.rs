//! The lifecycle of a server: the token that stops it, the tasks that it waits for, and the parts that must not end.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Stops the tasks of a server and waits for them.
#[derive(Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
    critical: JoinSet<()>,
    parts: HashMap<Id, (&'static str, AbortHandle)>,
}

impl Lifecycle {
    /// The token that is cancelled when the server stops.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Tracks tasks that end by themselves, such as those of streams.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Spawns a part of the server that must not end before the server stops.
    pub fn spawn_critical(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let handle = self.critical.spawn(part);
        self.parts.insert(handle.id(), (name, handle));
    }

    /// Waits until a critical part ends, and returns its name.
    pub async fn next_critical_end(&mut self) -> Option<&'static str> {
        let ended = self.critical.join_next_with_id().await?;
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    let part = self.parts.get(&error.id()).map(|(name, _)| *name);
                    tracing::error!(part, "a part of the server panicked");
                }
                error.id()
            }
        };
        self.parts.remove(&id).map(|(name, _)| name)
    }

    /// Stops everything, and waits up to `timeout` until the part `last` and the tracked tasks have ended.
    pub async fn shut_down(&mut self, last: &'static str, timeout: Duration) {
        self.stop.cancel();
        self.tasks.close();
        let tasks = self.tasks.clone();
        let ended = async {
            while self.parts.values().any(|(name, _)| *name == last) && self.next_critical_end().await.is_some() {}
            tasks.wait().await;
        };
        if tokio::time::timeout(timeout, ended).await.is_err() {
            tracing::warn!(part = last, "a part of the server did not stop in time; aborting it");
            self.parts.values().filter(|(name, _)| *name == last).for_each(|(_, part)| part.abort());
        }
    }

    /// Aborts the parts that are still running.
    pub fn abort(mut self) {
        self.critical.abort_all();
    }
}
