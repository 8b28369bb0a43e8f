//! Wiring: settings become a catalog, a store, a vault, the application, and a server that can be stopped.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, JanitorSettings, Parts};
use crate::catalog::{Catalog, CatalogError};
use crate::config::{ConfigError, IdentityMode, Migrate, Settings};
use crate::grpc::health::Health;
use crate::identity::{DevelopmentError, IssuersError, KeySet, KeySetError};
use crate::model::Clock;
use crate::store::{self, ConnectError, DatabaseSettings, MigrateError, Retention, Store};
use crate::vault::{KeyError, Vault, VaultError};

mod connections;
mod identity;
mod keys;
mod schema;
mod transport;

/// How often readiness is looked at.
const READINESS_EVERY: Duration = Duration::from_secs(5);
/// How often the janitor comes.
const JANITOR_EVERY: Duration = Duration::from_mins(1);
/// How long unary calls have to end once the server stops.
pub const DRAIN: Duration = Duration::from_secs(25);
/// How long what was begun has to be written after that; together the two stay below the 30 s of a Kubernetes pod.
const FINISH: Duration = Duration::from_secs(3);
/// How long request ids and releases are kept.
const REPLAY_RETENTION: Duration = Duration::from_hours(24);

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A connection type.
    #[error("connection types: {0}")]
    Catalog(#[from] CatalogError),
    /// The database.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The schema.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The keys.
    #[error("keys: {0}")]
    Keys(#[from] KeyError),
    /// A key that is not what it was.
    #[error("keys: {0}")]
    Vault(#[from] VaultError),
    /// Keys without which stored credentials cannot be opened.
    #[error("keys: credentials are sealed with {}, which the key ring lacks", .0.join(", "))]
    MissingKeys(Vec<String>),
    /// What is stored cannot be read.
    #[error("the database cannot be read: {0:?}")]
    Store(crate::model::Error),
    /// The development identity.
    #[error("development identity: {0}")]
    Development(#[from] DevelopmentError),
    /// The issuer's keys.
    #[error("identity: {0}")]
    KeySet(#[from] KeySetError),
    /// The issuer.
    #[error("identity: {0}")]
    Issuers(#[from] IssuersError),
    /// A listener.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The transport.
    #[error("transport: {0}")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whether a server could start with these settings, as far as can be told without opening anything.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    settings.check()?;
    settings.jwt_role_values.as_deref().map(identity::role_values).transpose()?;
    Catalog::load(settings.catalog_dir.as_deref())?;
    Ok(store::check_url(&settings.database_url())?)
}

/// A server that is ready to run.
pub struct Server {
    app: App,
    clock: Clock,
    readiness: Readiness,
    health: Health,
    listener: TcpListener,
    routes: transport::Api,
    admin: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    janitor: JanitorSettings,
}

impl Server {
    /// Opens everything that the settings name; the last is the listener of the API.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        settings.check()?;
        let stop = CancellationToken::new();
        let (health, admin) = transport::open_admin(settings.admin_listen).await?;
        let clock = Clock::default();
        let catalog = Catalog::load(settings.catalog_dir.as_deref())?;
        let database =
            DatabaseSettings { url: settings.database_url(), max_connections: settings.database_max_connections };
        // Nothing is connected yet: whether the embedded file is new can still be seen.
        let store = Store::open(&database, catalog.ids().map(ToOwned::to_owned).collect(), clock.clone())?;
        let vault = Vault::new(keys::open(settings)?);
        if settings.migrate == Migrate::Auto && !store.schema_state().await?.applied.is_empty() {
            // A build with the wrong keys leaves the schema to the one that serves.
            keys::recognise_all(&store, &vault).await?;
        }
        schema::prepare(&store, settings.migrate).await?;
        let hasher = keys::prepare(&store, &vault).await?;
        let (verifier, issuer_keys) = identity::verifier(settings, &stop).await?;
        let app = App::new(Parts { store, catalog, vault, hasher, clock: clock.clone(), stop: stop.clone() });
        let development = settings.identity_mode() == IdentityMode::Development;
        let reflection = settings.reflection.unwrap_or(development);
        let routes = transport::api(settings, app.clone(), verifier, reflection, &health)?;
        let listener = TcpListener::bind(settings.listen).await;
        let listener = listener.map_err(|error| StartError::Listen(settings.listen, error))?;
        let retention = Retention {
            request_ids: REPLAY_RETENTION,
            releases: REPLAY_RETENTION,
            denied: settings.denied_retention(),
            audit: settings.audit_retention(),
        };
        let janitor = JanitorSettings { every: JANITOR_EVERY, retention };
        let readiness = Readiness { app: app.clone(), issuer_keys };
        health.set_ready(readiness.is_given().await).await;
        Ok(Self { app, clock, readiness, health, listener, routes, admin, stop, janitor })
    }

    /// Where the API listens.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The application, for tests that stand behind it.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The clock, for tests that move it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Serves until `stop` is cancelled, then drains: not ready, streams end, calls end or are ended, and everything
    /// that was begun is written.
    pub async fn run(self, stop: CancellationToken) {
        let Self { app, readiness, health, listener, routes, admin, stop: inner, janitor, .. } = self;
        tokio::spawn(app.clone().keep_tidy_until(janitor, inner.clone()));
        let readiness = tokio::spawn(readiness.watch(health.clone()));
        let mut serving = JoinSet::new();
        serving.spawn(routes.serve(listener, inner.clone()));
        tokio::select! {
            () = stop.cancelled() => {}
            _ = serving.join_next() => tracing::error!("the listener failed"),
        }
        tracing::info!("stopping");
        readiness.abort();
        health.set_ready(false).await;
        inner.cancel();
        if tokio::time::timeout(DRAIN, serving.join_next()).await.is_err() {
            // Stuck calls: their connections go with the task.
            serving.abort_all();
        }
        if tokio::time::timeout(FINISH, app.shutdown()).await.is_err() {
            tracing::warn!("stopped before everything was written: the database does not answer");
        }
        admin.abort();
        tracing::info!("stopped");
    }
}

/// What a server needs to be able to serve.
struct Readiness {
    app: App,
    /// Of an issuer; those of the development identity are always there.
    issuer_keys: Option<KeySet>,
}

impl Readiness {
    async fn is_given(&self) -> bool {
        let believed = match &self.issuer_keys {
            Some(keys) => keys.is_available().await,
            None => true,
        };
        believed && self.app.is_ready().await
    }

    /// Two failures: not serving; one success: serving again.
    async fn watch(self, health: Health) {
        let mut failures = 0;
        loop {
            tokio::time::sleep(READINESS_EVERY).await;
            failures = if self.is_given().await { 0 } else { failures + 1 };
            match failures {
                0 => health.set_ready(true).await,
                1 => {}
                _ => health.set_ready(false).await,
            }
        }
    }
}
