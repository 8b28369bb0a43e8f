//! Watches connections for streams that follow them: one poll a second for each connection, however many watch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::ConnectionUid;
use crate::store::blocking::{self, AttachmentSnapshot};
use crate::store::{Scope, Store};

/// How often a connection's row is looked at.
const POLL: Duration = Duration::from_secs(1);

/// What was last seen of a connection; `None`: it is gone.
pub type Seen = Option<AttachmentSnapshot>;

/// The connections that are watched on this replica.
#[derive(Clone)]
pub struct Follow {
    store: Store,
    watched: Arc<Mutex<HashMap<ConnectionUid, watch::Sender<Seen>>>>,
}

impl Follow {
    /// Watches nothing yet.
    pub fn new(store: Store) -> Self {
        Self { store, watched: Arc::default() }
    }

    /// Watches a connection, from where the caller saw it.
    pub fn watch(&self, scope: &Scope, connection: ConnectionUid, seen: AttachmentSnapshot) -> watch::Receiver<Seen> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&connection) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Some(seen));
        watched.insert(connection, sender.clone());
        tokio::spawn(self.clone().poll(scope.clone(), connection, sender));
        receiver
    }

    async fn poll(self, scope: Scope, connection: ConnectionUid, sender: watch::Sender<Seen>) {
        loop {
            tokio::time::sleep(POLL).await;
            {
                let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                if sender.receiver_count() == 0 {
                    watched.remove(&connection);
                    return;
                }
            }
            match self.snapshot(&scope, connection).await {
                Ok(seen) => {
                    let revision = |seen: &Seen| seen.map(|snapshot| snapshot.revision);
                    sender.send_if_modified(|last| {
                        let moved = revision(last) != revision(&seen);
                        *last = seen;
                        moved
                    });
                }
                Err(error) => tracing::warn!(?error, "a connection could not be looked at for those who follow it"),
            }
        }
    }

    async fn snapshot(&self, scope: &Scope, connection: ConnectionUid) -> crate::model::Result<Seen> {
        blocking::snapshot(&self.store.reader().await?, scope, connection).await
    }
}
