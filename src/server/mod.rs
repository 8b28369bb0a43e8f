//! Wiring: the configuration becomes a catalog, a store, a vault, the application, and a server that can be stopped.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Parts, Quotas};
use crate::background::{self, Readiness, Supervisor, Task};
use crate::catalog::Catalog;
use crate::config::{Config, Migrate};
use crate::delivery::DeliveryParts;
use crate::delivery::destinations::Destinations;
use crate::dialer::Dialer;
use crate::grpc::health::Health;
use crate::grpc::middleware::{Admission, CallLimits};
use crate::model::Clock;
use crate::model::schedule::ScheduleCompiler;
use crate::runs::{Runner, RunnerParts};
use crate::store::{Retention, Store};
use crate::telemetry::{Metrics, run_span};
use crate::vault::Vault;
use lifecycle::Lifecycle;
use metrics::{Gauges, MetricsUpkeep};
use startup::local_directory::Protected;

mod commands;
mod connections;
mod error;
mod follow;
mod key_commands;
mod lifecycle;
mod listener;
#[cfg(test)]
mod listener_tests;
mod metrics;
mod output;
mod startup;
mod tls;
mod traces;
mod transport;

pub use commands::{generate_key, is_ready, list_keys, migrate, mint_token, schema_state, time_zone_release};
pub use error::{StartError, UnexpectedEnd};
pub use follow::{FollowError, FollowOptions, RunUpdate, follow_run};
pub use key_commands::{KeyUse, RetireError, retire_key, rewrap_keys, verify_keys};

/// How long unary calls have to finish once the server stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(24);
/// How long transactions and pending denied attempts have after that. With one second each for traces and blocked
/// threads, a shutdown takes less than 30 s, the default grace period of Kubernetes, unless deliveries take longer.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long request ids and releases are kept.
const REPLAY_RETENTION: Duration = Duration::from_hours(24);
/// The name of the part that serves the API.
const API_LISTENER: &str = "API listener";

/// A server that is ready to run.
pub struct Server {
    app: App,
    clock: Clock,
    health: Health,
    ready: watch::Receiver<bool>,
    listener: TcpListener,
    api: transport::Api,
    supervisor: Supervisor,
    tasks: Vec<Arc<dyn Task>>,
    runner: Option<Runner>,
    lifecycle: Lifecycle,
}

/// What the process shares with its servers.
#[derive(Clone, Default)]
pub struct Observability {
    /// The metrics that the admin listener renders; `None`: it serves none.
    pub metrics: Option<Metrics>,
    /// Whether calls are traced.
    pub traces: bool,
}

/// Checks as much of a configuration as is possible without opening anything.
pub fn check(config: &Config) -> Result<(), StartError> {
    Catalog::load(config.catalog_dir.as_deref())?;
    startup::datasets::parse(&config.datasets, &Dialer::default())?;
    Ok(commands::database_settings(config).check()?)
}

impl Server {
    /// Opens everything that the configuration names. The listener of the API is opened last.
    pub async fn start(config: &Config, observability: Observability) -> Result<Self, StartError> {
        let mut lifecycle = Lifecycle::default();
        let (health, gauges) = (Health::start().await, Arc::new(OnceLock::new()));
        let admin = transport::bind(config.api.admin_listen).await?;
        if let Ok(address) = admin.local_addr() {
            tracing::info!(%address, "admin listener started");
        }
        let metrics = observability.metrics.clone();
        let serving = transport::serve_admin(admin, health.clone(), metrics, Arc::clone(&gauges));
        lifecycle.spawn_critical("admin listener", serving);

        let clock = Clock::default();
        let dialer = startup::outbound::dialer(&config.outbound)?;
        let app = open_app(config, &clock, &dialer, &lifecycle).await?;
        let callers = startup::identity::open(&config.api.exposure, &dialer).await?;
        let issuer_keys = callers.issuer_keys.clone();
        let admission = Arc::new(Admission::new(&CallLimits {
            unary_calls: config.limits.unary_calls.into(),
            message_bytes: u64::from(config.limits.message_memory_mib) << 20,
        }));
        // Not set before: the gauges are new.
        let _ = gauges.set(Gauges::new(app.clone(), Arc::clone(&admission)));
        let api =
            transport::api((&config.api, &config.limits), &app, callers, admission, &health, observability.traces)?;
        let listener = transport::bind(config.api.listen).await?;

        let readiness = Readiness::new(app.clone(), issuer_keys.clone());
        let ready = readiness.subscribe();
        readiness.check().await;
        let is_ready = *ready.borrow();
        health.set_ready(is_ready).await;
        let retention = Retention {
            request_ids: REPLAY_RETENTION,
            releases: REPLAY_RETENTION,
            denied: config.retention.denied,
            audit: config.retention.audit,
            runs: config.runs.retention,
        };
        let mut tasks = background::tasks(&app, issuer_keys, retention, readiness);
        let runner = config.runs.enabled.then(|| {
            let parts = RunnerParts {
                settings: startup::runs::settings(&config.runs),
                tasks: lifecycle.tasks().clone(),
                span: run_span,
            };
            Runner::new(app.clone(), parts)
        });
        if let Some(runner) = &runner {
            tasks.extend(startup::runs::tasks(&app, runner.clone()));
        }
        if let Some(metrics) = observability.metrics {
            tasks.push(Arc::new(MetricsUpkeep::new(metrics)));
        }
        let supervisor = Supervisor::new(clock.clone());
        Ok(Self { app, clock, health, ready, listener, api, supervisor, tasks, runner, lifecycle })
    }

    /// The listener of the API.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// The application, for tests.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The clock, for tests that advance it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The background tasks, for tests.
    pub fn tasks(&mut self) -> &mut Vec<Arc<dyn Task>> {
        &mut self.tasks
    }

    /// The supervisor of the background tasks, for tests.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Serves until `stop` is cancelled, then drains: readiness is withdrawn, streams end, calls finish or are aborted,
    /// and pending data is written. If a part of it ends unexpectedly, the server stops too, and the result is an
    /// error.
    pub async fn run(self, stop: CancellationToken) -> Result<(), UnexpectedEnd> {
        let Self { app, health, mut ready, listener, api, supervisor, tasks, runner, mut lifecycle, .. } = self;
        let token = lifecycle.stop_token().clone();
        lifecycle.spawn_critical(API_LISTENER, api.serve(listener, token.clone()));
        lifecycle.spawn_critical("supervisor of background tasks", supervisor.run(tasks, token));
        let drain_timeout = runner.as_ref().map_or(DRAIN_TIMEOUT, |runner| runner.max_drain().max(DRAIN_TIMEOUT));
        if let Some(runner) = runner {
            // Leases are renewed until the last delivery has ended.
            lifecycle.spawn_critical("renewal of leases", runner.clone().renew_leases());
            lifecycle.tasks().spawn(runner.drain(lifecycle.stop_token().clone()));
        }
        let result = loop {
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                Some(part) = lifecycle.next_critical_end() => break Err(UnexpectedEnd(part)),
                Ok(()) = ready.changed() => {
                    let is_ready = *ready.borrow_and_update();
                    health.set_ready(is_ready).await;
                }
            }
        };
        match &result {
            Ok(()) => tracing::info!("stopping"),
            Err(error) => tracing::error!(%error, "stopping because of an error"),
        }
        health.set_ready(false).await;
        lifecycle.shut_down(API_LISTENER, drain_timeout).await;
        if tokio::time::timeout(FLUSH_TIMEOUT, app.shutdown()).await.is_err() {
            tracing::warn!("stopped before all data was written: no response from the database");
        }
        lifecycle.abort();
        tracing::info!("stopped");
        result
    }
}

/// Opens catalog, database and keys, and builds the application on them.
async fn open_app(config: &Config, clock: &Clock, dialer: &Dialer, lifecycle: &Lifecycle) -> Result<App, StartError> {
    let catalog = Catalog::load(config.catalog_dir.as_deref())?;
    let time_zones = startup::time_zones::open(&config.time_zone_data)?;
    tracing::info!(release = time_zones.release(), "loaded time zone data");
    let database = commands::database_settings(config);
    // Nothing is connected yet, so it can still be seen whether the embedded file is new.
    let store = Store::open(&database, catalog.ids().map(ToOwned::to_owned).collect(), clock.clone())?;
    let vault = Arc::new(Vault::new(startup::keys::open(&config.keys)?));
    let datasets = startup::datasets::open(&config.datasets, dialer).await?;
    if let Some(root) = &config.deliveries.local_directory_root {
        let file = database.sqlite_file();
        let files = file.as_deref().into_iter().collect();
        let mut directories = config.datasets.directories();
        directories.push(&config.keys.directory);
        startup::local_directory::prepare(root, &Protected { files, directories })?;
    }
    if config.database.migrate == Migrate::Auto && !startup::schema::state(&store).await?.applied.is_empty() {
        // A process with the wrong keys does not migrate.
        startup::keys::verify_stored(&store, &vault).await?;
    }
    startup::schema::prepare(&store, config.database.migrate).await?;
    let hasher = startup::keys::prepare(&store, &vault).await?;
    let (tasks, stop) = (lifecycle.tasks().clone(), lifecycle.stop_token().clone());
    let schedules = ScheduleCompiler::new(time_zones);
    let root = config.deliveries.local_directory_root.as_ref().map(|root| root.path().to_owned());
    let delivery = DeliveryParts {
        datasets,
        engine: startup::runs::engine(&config.runs),
        destinations: Destinations::new(dialer.clone(), clock.clone(), root),
    };
    Ok(App::new(Parts {
        store,
        catalog,
        vault,
        delivery,
        hasher,
        schedules,
        clock: clock.clone(),
        run_retention: config.runs.retention,
        quotas: Quotas {
            connections: config.limits.organization_connections.map(u64::from),
            exports: config.limits.organization_exports.map(u64::from),
            writes_per_second: config.limits.organization_writes_per_second,
        },
        entra_tenants: config.outbound.entra_tenants.clone(),
        max_streams: config.limits.streams.into(),
        tasks,
        stop,
    }))
}
