//! A server under test, in the process of the tests: it listens on a free port and has a database of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use outflow::app::App;
use outflow::config::{Config, Values, all};
use outflow::identity::DevelopmentIdentity;
use outflow::model::{Clock, Role};
use outflow::server::{Observability, Server, UnexpectedEnd};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Clients, client, postgres};

/// The database of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A SQLite file.
    Sqlite,
    /// A database of the temporary PostgreSQL cluster.
    Postgres,
}

/// A server under test; it stops when dropped.
pub struct TestServer {
    /// The address of the API.
    pub address: SocketAddr,
    /// The kind of its database.
    pub backend: Backend,
    /// The URL of its database.
    pub database_url: String,
    /// Its clock, which tests can advance.
    pub clock: Clock,
    /// The directory of its files.
    pub data_dir: PathBuf,
    /// The application that it serves.
    pub app: App,
    identity: DevelopmentIdentity,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<(), UnexpectedEnd>>>,
    _directory: tempfile::TempDir,
}

/// Runs a test on both databases, each with a server of its own: first SQLite, then PostgreSQL.
pub async fn on_both(body: impl AsyncFn(TestServer)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}");
        Box::pin(body(TestServer::start(backend).await)).await;
    }
}

/// Runs a test on both databases as [`on_both`] does, with servers whose datasets are these files, each with its path below
/// the location and its content. The test can change the files in the directory.
pub async fn on_both_with_datasets(files: &[(&str, &str)], body: impl AsyncFn(TestServer, &Path)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        eprintln!("on {backend:?}");
        let root = tempfile::tempdir().expect("a directory");
        // The location is a directory of its own, which a test can remove.
        let location = root.path().join("datasets");
        for (path, content) in files {
            let path = location.join(path);
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("created");
            std::fs::write(path, content).expect("written");
        }
        let settings = vec![("dataset_location", location.to_str().expect("a path").to_owned())];
        Box::pin(body(TestServer::start_with(backend, settings).await, &location)).await;
    }
}

impl TestServer {
    /// Starts a server with a new database.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, Vec::new()).await
    }

    /// Starts a server with a new database and these settings over the defaults of tests.
    pub async fn start_with(backend: Backend, settings: Vec<(&'static str, String)>) -> Self {
        Self::start_prepared(backend, settings, Observability::default(), |_| ()).await
    }

    /// Starts a server as `start_with`; `prepare` can change it before it runs.
    pub async fn start_prepared(
        backend: Backend,
        settings: Vec<(&'static str, String)>,
        observability: Observability,
        prepare: impl FnOnce(&mut Server),
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data_dir = directory.path().to_owned();
        let mut values = vec![
            ("listen", "127.0.0.1:0".to_owned()),
            ("admin_listen", "127.0.0.1:0".to_owned()),
            ("data_dir", data_dir.to_str().expect("a path").to_owned()),
            ("runs", "off".to_owned()),
            ("dataset_location", "none".to_owned()),
        ];
        if backend == Backend::Postgres {
            let url = tokio::task::spawn_blocking(postgres::new_database).await.expect("a database");
            outflow::vault::generate_first(&data_dir.join("keys")).expect("a key");
            values.push(("database_url", url));
        }
        for (key, value) in settings {
            values.retain(|(known, _)| *known != key);
            values.push((key, value));
        }
        let values = Values::of(all().collect(), values).expect("settings");
        let config = Config::parse(&values).expect("a configuration");
        let database_url = config.database.url().expect("a URL");
        let identity = DevelopmentIdentity::open(&data_dir).expect("an identity");
        let mut server = Server::start(&config, observability).await.expect("the server starts");
        prepare(&mut server);
        let (address, clock) = (server.listener().local_addr().expect("an address"), server.clock().clone());
        let app = server.app().clone();
        let stop = CancellationToken::new();
        let running = Some(tokio::spawn(server.run(stop.clone())));
        Self { address, backend, database_url, clock, data_dir, app, identity, stop, running, _directory: directory }
    }

    /// Mints a token with the development identity, valid for `ttl`.
    pub fn token_with_ttl(&self, subject: &str, roles: &[Role], ttl: TimeDelta) -> String {
        client::mint(&self.identity, self.clock.now(), (client::ORGANIZATION, subject), roles, &[], ttl)
    }

    /// Waits until the server ends without having been stopped.
    pub async fn ended(mut self) -> UnexpectedEnd {
        let running = self.running.take().expect("the server was not stopped");
        running.await.expect("the server does not panic").expect_err("a part of the server ended")
    }

    /// Stops the server and waits until it has stopped.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.expect("the server stops").expect("no part of it ended before");
        }
    }
}

impl Clients for TestServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn token(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> String {
        let caller = (organization, subject);
        client::mint(&self.identity, self.clock.now(), caller, roles, groups, TimeDelta::hours(12))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
