//! What the service does: one method for each RPC, where the rules of the domain stand.
//!
//! A method takes the call first, asks for the right, decides, and changes within one transaction. It knows neither
//! SQL nor the wire.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::catalog::Catalog;
use crate::model::{Call, Clock, Result, Role};
use crate::store::{Scope, Store};
use crate::vault::{RequestHasher, Vault};

mod audit;
mod blocking;
mod change;
mod connections;
mod credential;
mod denials;
mod exports;
mod follow;
mod janitor;
mod streams;
mod types;

pub use blocking::{BlockingEvent, BlockingMessage};
pub use connections::{ConnectionDraft, ConnectionUpdate, CreateConnection, ShareChange, Unshared, UpdateConnection};
pub use credential::CredentialInput;
pub use denials::Denial;
pub use exports::{
    AttachExport, BatchDetached, BatchOutcome, BatchResult, CreateExport, DetachTarget, DuplicateExport, ExportDraft,
    ExportUpdate, ScheduleChange, UpdateExport,
};
pub use janitor::JanitorSettings;

/// How long readiness waits for the database.
const READINESS_TIMEOUT: Duration = Duration::from_secs(4);

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    catalog: Catalog,
    vault: Vault,
    hasher: RequestHasher,
    clock: Clock,
    denials: denials::Denials,
    follow: follow::Follow,
    streams: streams::Streams,
    stop: CancellationToken,
}

/// What the service is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The connection types.
    pub catalog: Catalog,
    /// Seals credentials.
    pub vault: Vault,
    /// Digests requests.
    pub hasher: RequestHasher,
    /// Tells the time.
    pub clock: Clock,
    /// Streams end when it is cancelled.
    pub stop: CancellationToken,
}

impl App {
    /// Puts the service together, and starts the writer of denied attempts.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, catalog, vault, hasher, clock, stop } = parts;
        let denials = denials::Denials::start(store.clone(), clock.clone());
        let follow = follow::Follow::new(store.clone());
        let streams = streams::Streams::default();
        Self(Arc::new(Inner { store, catalog, vault, hasher, clock, denials, follow, streams, stop }))
    }

    /// Writes out what is queued and waits for every transaction under way.
    pub async fn shutdown(&self) {
        self.0.denials.flush().await;
        self.0.store.shutdown().await;
    }

    /// Whether the database answers and its schema has what this build needs; a newer one, to which other replicas are
    /// just moving, has it too.
    pub async fn is_ready(&self) -> bool {
        let asked = async {
            let ready = self.0.store.is_ready().await.unwrap_or(false);
            ready && self.0.store.schema_state().await.is_ok_and(|state| state.pending.is_empty())
        };
        tokio::time::timeout(READINESS_TIMEOUT, asked).await.unwrap_or(false)
    }

    /// Ends when the service stops.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.stop.clone().cancelled_owned()
    }

    /// The present, as it is shown.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    fn scope(&self, call: &Call) -> Scope {
        Scope { organization: call.caller.organization.clone(), read_context: self.0.store.read_context().clone() }
    }

    /// For a read: whose rows, once the caller has the role.
    fn read_scope(&self, call: &Call, role: Role) -> Result<Scope> {
        call.caller.require(role)?;
        Ok(self.scope(call))
    }
}
