//! Watches runs for streams: one query per second for each organization, independent of the number of streams.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::model::{OpContext, OrganizationId, Result, Run};
use crate::store::{self, Scope, Store};

/// The name of the background task that polls.
pub const TASK: &str = "run_watch";
/// How long one poll may take.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// The runs that streams of this replica watch.
pub struct RunWatcher {
    store: Store,
    watched: Mutex<HashMap<Uuid, Watched>>,
}

struct Watched {
    organization: OrganizationId,
    /// The last known state; `None`: the run was deleted by retention.
    sender: watch::Sender<Option<Run>>,
}

impl RunWatcher {
    /// A watcher without subscriptions.
    pub fn new(store: Store) -> Self {
        Self { store, watched: Mutex::default() }
    }

    /// Subscribes to a run, which was just read.
    pub fn watch(&self, run: Run) -> watch::Receiver<Option<Run>> {
        let (uid, organization) = (run.name.uid, run.name.organization.clone());
        let new = || Watched { organization, sender: watch::channel(Some(run)).0 };
        self.watched.lock().entry(uid).or_insert_with(new).sender.subscribe()
    }

    /// Reads every watched run once and notifies the streams of changed ones.
    pub async fn poll(&self) -> Result<()> {
        let mut result = Ok(());
        for (organization, runs) in self.followed() {
            if let Err(error) = self.poll_organization(organization, &runs).await {
                result = Err(error);
            }
        }
        result
    }

    async fn poll_organization(&self, organization: OrganizationId, uids: &[Uuid]) -> Result<()> {
        let context = OpContext::system(TASK, organization, Instant::now() + POLL_TIMEOUT);
        let scope = Scope { organization: &context.organization, read_context: self.store.read_context() };
        let reader = self.store.background_reader();
        let runs = store::runs::get_many(&reader, &scope, uids).await?;
        let mut runs: HashMap<_, _> = runs.into_iter().map(|run| (run.name.uid, run)).collect();
        for uid in uids {
            let run = runs.remove(uid);
            if let Some(watched) = self.watched.lock().get(uid) {
                watched.sender.send_if_modified(|last| {
                    let changed = *last != run;
                    *last = run;
                    changed
                });
            }
        }
        Ok(())
    }

    /// The runs that are still watched, by organization; drops the others.
    fn followed(&self) -> BTreeMap<OrganizationId, Vec<Uuid>> {
        let mut followed = BTreeMap::<_, Vec<_>>::new();
        let mut watched = self.watched.lock();
        watched.retain(|_, watched| watched.sender.receiver_count() > 0);
        for (uid, watched) in watched.iter() {
            followed.entry(watched.organization.clone()).or_default().push(*uid);
        }
        followed
    }
}
