//! Removes what ended runs left at their destinations: uploads of attempts whose replica was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use super::leased::open_credential;
use crate::app::App;
use crate::background::{Task, TaskError};
use crate::delivery::DeliveryError;
use crate::delivery::destinations::Target;
use crate::model::json::Object;
use crate::model::{Availability, Result};
use crate::store::runs::remains::{self, Remains};
use crate::store::{self, Scope, Store, credentials};

/// The time between two searches.
const INTERVAL: Duration = Duration::from_mins(1);
/// Runs per search.
const MAX_RUNS: u64 = 20;
/// How long the removal for one run may take.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Removes what ended runs left.
pub struct RemainsRemoval {
    app: App,
    /// The last run of the previous search; the next one continues after it.
    last: Mutex<Uuid>,
}

impl RemainsRemoval {
    /// Removes what the runs of an application left.
    pub fn new(app: App) -> Self {
        Self { app, last: Mutex::default() }
    }

    /// Removes what a run left. `false`: the destination cannot be reached at the moment; a later search finds the run again.
    async fn remove(&self, found: &Remains) -> Result<bool> {
        let store = self.app.store();
        let scope = Scope { organization: &found.organization, read_context: store.read_context() };
        let reader = store.background_reader();
        let Some(connection) = store::connections::get(&reader, &scope, found.connection).await? else {
            // The credential was deleted with the connection.
            return Ok(true);
        };
        if connection.availability != Availability::Active {
            return Ok(false);
        }
        let sealed = credentials::get(&reader, &scope, found.connection).await?;
        drop(reader);
        let removed = async {
            let credential = sealed.as_ref().map(|sealed| open_credential(self.app.vault(), &connection, sealed));
            let target = Target {
                organization: found.organization.clone(),
                properties: connection.properties.clone(),
                credential: credential.transpose()?,
                settings: Object::new(),
            };
            let destination = self.app.delivery().destinations.build(&connection.connection_type, target)?;
            destination.remove_staged(&found.state).await
        };
        let removed: std::result::Result<Result<(), DeliveryError>, _> =
            tokio::time::timeout(REMOVAL_TIMEOUT, removed).await;
        match removed {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => {
                tracing::warn!(run = %found.uid, %error, "cannot remove what a run left");
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }
}

#[async_trait::async_trait]
impl Task for RemainsRemoval {
    fn name(&self) -> &'static str {
        "run_remains"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        let store = self.app.store();
        let after = *self.last.lock();
        let found = remains::find(&store.background_reader(), store.read_context(), after, MAX_RUNS).await?;
        *self.last.lock() = found.last().map(|run| run.uid).unwrap_or_default();
        for run in found {
            if !self.remove(&run).await? {
                continue;
            }
            let state = Arc::new((store.clone(), run));
            let forgotten =
                store.transact_in_background(Instant::now() + TIMEOUT, state, |db, state: &Arc<(Store, Remains)>| {
                    Box::pin(remains::forget(db, &state.1))
                });
            forgotten.await?;
        }
        Ok(())
    }
}
