//! Background tasks under the supervisor, system actors, and the end of a server whose parts end.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use outflow::app::connections::SuspendConnection;
use outflow::background::{Supervisor, Task, TaskError};
use outflow::grpc::proto as pb;
use outflow::model::{OpContext, OrganizationId, ResourceId};
use outflow::server::{Observability, Server};
use outflow::telemetry::Metrics;
use tokio::sync::mpsc;

use crate::support::{
    Backend, Clients as _, Issuer, TestServer, create_connection, issuer_settings, on_both, with_timeout,
};

/// A task whose first run panics, and which runs without pause otherwise. Reports the start of its third run, when the
/// second one is recorded.
struct PanicsOnce {
    inner: Arc<dyn Task>,
    runs: AtomicU32,
    recovered: mpsc::UnboundedSender<&'static str>,
}

#[async_trait::async_trait]
impl Task for PanicsOnce {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(1)
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        match self.runs.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("the first run of {} panics", self.name()),
            1 => self.inner.run_once().await,
            2 => Ok(self.recovered.send(self.name())?),
            _ => std::future::pending().await,
        }
    }
}

/// A task that breaks the loop of the supervisor.
struct Broken;

#[async_trait::async_trait]
impl Task for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn interval(&self) -> Duration {
        panic!("outside of a run")
    }

    async fn run_once(&self) -> Result<(), TaskError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_background_task_survives_a_panic() {
    let directory = tempfile::tempdir().expect("a directory");
    let key_set = directory.path().join("jwks.json");
    std::fs::write(&key_set, Issuer::generate().key_set()).expect("written");
    let settings = issuer_settings("jwt_jwks_file", key_set.to_str().expect("a path"));
    let metrics = Metrics::install().expect("the only recorder of the process");
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let (recovered, mut recoveries) = mpsc::unbounded_channel();
        let mut names = Vec::new();
        let mut supervisor = None;
        let observability = Observability { metrics: Some(metrics.clone()), traces: false };
        let server = TestServer::start_prepared(backend, settings.clone(), observability, |server: &mut Server| {
            for task in server.tasks() {
                names.push(task.name());
                *task = Arc::new(PanicsOnce {
                    inner: Arc::clone(task),
                    runs: AtomicU32::new(0),
                    recovered: recovered.clone(),
                });
            }
            supervisor = Some(server.supervisor().clone());
        })
        .await;
        names.sort_unstable();
        assert!(names.len() >= 7, "{names:?}");
        let mut found = Vec::new();
        while found.len() < names.len() {
            found.push(with_timeout("the third run of each task", recoveries.recv()).await.expect("a name"));
        }
        found.sort_unstable();
        assert_eq!(found, names);
        for (name, status) in supervisor.as_ref().map(Supervisor::statuses).expect("the server started") {
            assert_eq!((status.failures, status.successes >= 1), (1, true), "{name}: {status:?}");
            assert!(status.last_success.is_some(), "{name}");
        }
        server.stop().await;
    }
    let rendered = metrics.render();
    for outcome in ["failure", "success"] {
        let line = format!(r#"background_task_runs_total{{task="key_refresh",outcome="{outcome}"}}"#);
        assert!(rendered.lines().any(|found| found.starts_with(&line)), "{line} in {rendered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_ends_when_its_supervisor_ends() {
    let server = TestServer::start_prepared(Backend::Sqlite, Vec::new(), Observability::default(), |server| {
        server.tasks().push(Arc::new(Broken));
    })
    .await;
    let end = with_timeout("the end of the server", server.ended()).await;
    assert!(end.to_string().contains("supervisor of background tasks"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_ends_when_its_listener_ends() {
    let mut socket = None;
    let server = TestServer::start_prepared(Backend::Sqlite, Vec::new(), Observability::default(), |server| {
        socket = Some(server.listener().as_fd().try_clone_to_owned().expect("a duplicate"));
    })
    .await;
    let mut admin = server.admin().await;
    admin.connections.list_connections(list_connections()).await.expect("it serves");
    // The standard library has no `shutdown` for listeners; it is the same call on any socket.
    TcpStream::from(socket.expect("the server started")).shutdown(Shutdown::Both).expect("the socket is shut down");
    let end = with_timeout("the end of the server", server.ended()).await;
    assert!(end.to_string().contains("API listener"), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_the_system_are_audited_under_its_name() {
    on_both(async |server| {
        let mut admin = server.admin().await;
        let created = admin.connections.create_connection(create_connection("Partner")).await.expect("created");
        let name = created.into_inner().connection.expect("a connection").name;
        let id = name.rsplit('/').next().and_then(ResourceId::parse).expect("an id");
        let organization = OrganizationId::parse("acme").expect("an id");
        let context = OpContext::system("expiry", organization, Instant::now() + Duration::from_secs(10));
        let suspend = SuspendConnection { id, etag: String::new(), reason: "expired".to_owned() };
        server.app.execute(&context, suspend).await.expect("a system actor has all rights");
        let events = admin.audit.list_audit_events(pb::ListAuditEventsRequest {
            parent: "organizations/acme".into(),
            principal: "system:expiry".into(),
            ..Default::default()
        });
        let events = events.await.expect("listed").into_inner().audit_events;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].principal.as_str(), events[0].method.as_str()), ("system:expiry", "expiry"));
        assert!(events[0].roles.is_empty() && events[0].resource == name, "{:?}", events[0]);
    })
    .await;
}

fn list_connections() -> pb::ListConnectionsRequest {
    pb::ListConnectionsRequest { parent: "organizations/acme".into(), ..Default::default() }
}
