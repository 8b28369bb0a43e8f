//! Watches connections for streams with `follow`: one query per second for each organization, independent of the number
//! of streams.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::model::{ConnectionUid, OpContext, OrganizationId, Result};
use crate::store::blocking_exports::{self, AttachmentSnapshot};
use crate::store::{Scope, Store};

/// The name of the background task that polls.
pub const TASK: &str = "connection_watch";
/// How long one poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// The last known state of a watched connection; `None`: it was deleted.
pub type WatchedState = Option<AttachmentSnapshot>;

/// The connections that streams of this replica watch.
pub struct ConnectionWatcher {
    store: Store,
    watched: Mutex<HashMap<ConnectionUid, Watched>>,
}

struct Watched {
    organization: OrganizationId,
    sender: watch::Sender<WatchedState>,
}

impl ConnectionWatcher {
    /// A watcher without subscriptions.
    pub fn new(store: Store) -> Self {
        Self { store, watched: Mutex::default() }
    }

    /// Subscribes to a connection; `current` is the state last seen by the stream.
    pub fn watch(
        &self,
        organization: &OrganizationId,
        connection: ConnectionUid,
        current: AttachmentSnapshot,
    ) -> watch::Receiver<WatchedState> {
        let new = || Watched { organization: organization.clone(), sender: watch::channel(Some(current)).0 };
        self.watched.lock().entry(connection).or_insert_with(new).sender.subscribe()
    }

    /// Reads the state of every watched connection once and notifies the streams of changed ones.
    pub async fn poll(&self) -> Result<()> {
        let mut result = Ok(());
        for (organization, connections) in self.followed() {
            if let Err(error) = self.poll_organization(organization, connections).await {
                result = Err(error);
            }
        }
        result
    }

    async fn poll_organization(&self, organization: OrganizationId, connections: Vec<ConnectionUid>) -> Result<()> {
        let context = OpContext::system(TASK, organization, Instant::now() + POLL_TIMEOUT);
        let scope = Scope { organization: &context.organization, read_context: self.store.read_context() };
        let reader = self.store.background_reader();
        let states = blocking_exports::snapshots(&reader, &scope, &connections).await?;
        for connection in connections {
            self.publish(connection, states.get(&connection).copied());
        }
        Ok(())
    }

    /// The connections that are still watched, by organization; drops the others.
    fn followed(&self) -> BTreeMap<OrganizationId, Vec<ConnectionUid>> {
        let mut followed = BTreeMap::<_, Vec<_>>::new();
        let mut watched = self.watched.lock();
        watched.retain(|_, watched| watched.sender.receiver_count() > 0);
        for (connection, watched) in watched.iter() {
            followed.entry(watched.organization.clone()).or_default().push(*connection);
        }
        followed
    }

    fn publish(&self, connection: ConnectionUid, state: WatchedState) {
        if let Some(watched) = self.watched.lock().get(&connection) {
            let revision = |state: &WatchedState| state.map(|snapshot| snapshot.revision);
            watched.sender.send_if_modified(|last| {
                let changed = revision(last) != revision(&state);
                *last = state;
                changed
            });
        }
    }
}
