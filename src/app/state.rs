//! The state of the application, which all operations share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::ConnectionWatcher;
use super::denied_attempts::DeniedAttempts;
use super::quotas::{Quotas, WriteRates};
use super::rate_limit::{PREVIEWS, RateLimiter, TESTS};
use super::runs::RunWatcher;
use super::streams;
use crate::catalog::{Catalog, ConnectionType};
use crate::delivery::DeliveryParts;
use crate::delivery::datasets::Datasets;
use crate::fair_share::FairShare;
use crate::model::schedule::ScheduleCompiler;
use crate::model::{Clock, ConnectionTypeId, EntraTenants, OpContext, Result};
use crate::store::{Reader, Scope, Store, credentials};
use crate::vault::{PageTokens, RequestHasher, Vault};

/// How long a readiness check waits for the database.
const READINESS_TIMEOUT: Duration = Duration::from_secs(4);

/// The application. Cheap to clone.
#[derive(Clone)]
pub struct App(pub(super) Arc<Inner>);

/// The state shared by all operations.
pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) denied_attempts: DeniedAttempts,
    pub(super) watcher: ConnectionWatcher,
    pub(super) run_watcher: RunWatcher,
    pub(super) streams: FairShare,
    pub(super) tests: RateLimiter,
    pub(super) previews: RateLimiter,
    pub(super) page_tokens: PageTokens,
    pub(super) write_rates: WriteRates,
}

/// The dependencies of all operations.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The connection types.
    pub catalog: Catalog,
    /// Seals credentials.
    pub vault: Arc<Vault>,
    /// Reads datasets, encodes rows and writes to destinations.
    pub delivery: DeliveryParts,
    /// Digests requests.
    pub hasher: RequestHasher,
    /// Compiles and validates schedules.
    pub schedules: ScheduleCompiler,
    /// The clock for informational times.
    pub clock: Clock,
    /// How long runs are kept after their end.
    pub run_retention: Duration,
    /// What an organization may have.
    pub quotas: Quotas,
    /// The Microsoft Entra tenants of organizations.
    pub entra_tenants: EntraTenants,
    /// How many streams can be open.
    pub max_streams: u64,
    /// Tracks the tasks of streams and of flushes.
    pub tasks: TaskTracker,
    /// Streams end when it is cancelled.
    pub stop: CancellationToken,
}

impl App {
    /// Builds the application. It starts no task.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            denied_attempts: DeniedAttempts::new(parts.store.clone(), parts.clock.clone()),
            watcher: ConnectionWatcher::new(parts.store.clone()),
            run_watcher: RunWatcher::new(parts.store.clone()),
            streams: streams::permits(parts.max_streams),
            tests: RateLimiter::new(TESTS),
            previews: RateLimiter::new(PREVIEWS),
            page_tokens: PageTokens::new(&parts.hasher),
            write_rates: WriteRates::default(),
            parts,
        }))
    }

    /// Writes the denied attempts that are still counted in memory, and waits until every transaction has ended.
    pub async fn shutdown(&self) {
        if let Err(error) = self.flush_denied_attempts().await {
            tracing::warn!(target: "audit", %error, "failed to write denied attempts before shutdown");
        }
        self.0.parts.store.shutdown().await;
    }

    /// Whether the database responds and no migration is pending. A newer schema is ready too: a newer replica may have
    /// migrated it.
    pub async fn is_ready(&self) -> bool {
        let check = async {
            let ready = self.0.parts.store.is_ready().await.unwrap_or(false);
            ready && self.0.parts.store.schema_state().await.is_ok_and(|state| state.pending.is_empty())
        };
        tokio::time::timeout(READINESS_TIMEOUT, check).await.unwrap_or(false)
    }

    /// Resolves when the service stops.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.parts.stop.clone().cancelled_owned()
    }

    /// The current time, for information.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.parts.clock.now()
    }

    /// Compiles and validates schedules.
    pub fn schedules(&self) -> &ScheduleCompiler {
        &self.0.parts.schedules
    }

    /// What an organization may have.
    pub fn quotas(&self) -> &Quotas {
        &self.0.parts.quotas
    }

    /// The Microsoft Entra tenants of organizations.
    pub fn entra_tenants(&self) -> &EntraTenants {
        &self.0.parts.entra_tenants
    }

    /// How long runs are kept after their end.
    pub fn run_retention(&self) -> Duration {
        self.0.parts.run_retention
    }

    /// Opens credentials.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.0.parts.vault
    }

    /// Datasets, engine and destinations.
    pub fn delivery(&self) -> &DeliveryParts {
        &self.0.parts.delivery
    }

    /// The connection types.
    pub fn catalog(&self) -> &Catalog {
        &self.0.parts.catalog
    }

    /// The tables that can be exported.
    pub fn datasets(&self) -> &Datasets {
        &self.0.parts.delivery.datasets
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.parts.store
    }

    /// A keyed digest of a request, to distinguish a retry from another request with the same id.
    pub fn digest_request(&self, content: &[u8]) -> [u8; 32] {
        self.0.parts.hasher.digest(content)
    }

    /// Encrypts page tokens.
    pub fn page_tokens(&self) -> &PageTokens {
        &self.0.page_tokens
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> u64 {
        self.0.streams.held()
    }

    /// Reads the state of every connection that a stream watches.
    pub async fn poll_watched_connections(&self) -> Result<()> {
        self.0.watcher.poll().await
    }

    /// Number of stored credentials per sealing key, including the keys of the ring that seal none.
    pub async fn count_credentials_by_key(&self) -> Result<BTreeMap<String, i64>> {
        let unused = self.0.parts.vault.ring().ids().map(|id| (id.to_owned(), 0));
        let used = credentials::count_by_key(&self.0.parts.store.background_reader()).await?;
        Ok(unused.chain(used).collect())
    }

    /// Reads from the database for a call.
    pub(super) fn reader(&self, context: &OpContext) -> Reader<'_> {
        self.0.parts.store.reader(context.actor.caller())
    }

    /// The same for a stream.
    pub(super) fn stream_reader(&self, context: &OpContext) -> Reader<'_> {
        self.0.parts.store.stream_reader(context.actor.caller())
    }

    /// The rows that an operation may read and change.
    pub(super) fn scope<'a>(&'a self, context: &'a OpContext) -> Scope<'a> {
        Scope { organization: &context.organization, read_context: self.0.parts.store.read_context() }
    }

    /// The type of a connection or export; `None` if the catalog does not have it any more.
    pub(super) fn connection_type(&self, id: &ConnectionTypeId) -> Option<&ConnectionType> {
        self.0.parts.catalog.get(id.as_str())
    }
}
