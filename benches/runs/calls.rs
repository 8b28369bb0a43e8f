//! GetConnection without and beside two large deliveries on the same replica.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outflow::grpc::proto as pb;
use pb::export_run::State;

use crate::support::{Backend, Client, Clients as _, TestServer, export_on, object, parent, text};
use crate::{percentiles, table};

/// Calls at the same time.
const IN_FLIGHT: usize = 4;
/// How long calls are measured without deliveries.
const IDLE: Duration = Duration::from_secs(10);
/// Deliveries at the same time.
const DELIVERIES: usize = 2;

/// Runs the benchmark.
pub async fn run(rows: usize) {
    let root = tempfile::tempdir().expect("a directory");
    let path = |name: &str| root.path().join(name).to_str().expect("a path").to_owned();
    std::fs::create_dir_all(root.path().join("datasets/acme")).expect("created");
    std::fs::create_dir(root.path().join("outbox")).expect("created");
    table::write(&root.path().join("datasets/acme/customers.parquet"), rows);
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let settings = vec![
            ("runs", "on".to_owned()),
            ("dataset_location", path("datasets")),
            ("local_directory_root", path("outbox")),
        ];
        let server = TestServer::start_with(backend, settings).await;
        let mut admin = server.admin().await;
        let connection = local_directory(&mut admin).await;
        measure(&admin, &connection, async |elapsed| elapsed < IDLE).await;
        let idle = measure(&admin, &connection, async |elapsed| elapsed < IDLE).await;
        let mut runs = Vec::new();
        for _ in 0..DELIVERIES {
            let mut export = export_on(&connection, "Large");
            export.payload.as_mut().expect("a payload").tables[0].fields = Vec::new();
            let request = pb::CreateExportRequest { parent: parent(), export: Some(export), ..Default::default() };
            let export = admin.exports.create_export(request).await.expect("created").into_inner().export;
            let name = export.expect("an export").name;
            let request = pb::RunExportRequest { name, ..pb::RunExportRequest::default() };
            runs.push(admin.exports.run_export(request).await.expect("queued").into_inner().run.expect("a run").name);
        }
        wait_for(&mut admin, &runs[0], State::Running).await;
        let watcher = admin.clone();
        let beside = measure(&admin, &connection, async |_| {
            let mut watcher = watcher.clone();
            state(&mut watcher, &runs[0]).await == State::Running
        })
        .await;
        for run in &runs {
            wait_for(&mut admin, run, State::Succeeded).await;
        }
        let ((idle_p99, idle_median), calls) = (percentiles(idle), beside.len());
        let (p99, median) = percentiles(beside);
        println!(
            "{backend:?}: GetConnection, p99 {idle_p99:.1?} and median {idle_median:.1?}; beside {DELIVERIES} deliveries of \
             {rows} rows: p99 {p99:.1?} and median {median:.1?} ({calls} calls)"
        );
        server.stop().await;
    }
}

async fn local_directory(admin: &mut Client) -> String {
    let connection = pb::Connection {
        display_name: "Outbox".to_owned(),
        connection_type: "connectionTypes/local_directory".to_owned(),
        properties: Some(object([("directory", text("large"))])),
        ..pb::Connection::default()
    };
    let request = pb::CreateConnectionRequest { parent: parent(), connection: Some(connection), ..Default::default() };
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("a connection").name
}

/// Calls GetConnection while `goes_on` says so, asked about ten times a second. Returns the duration of each call.
async fn measure(admin: &Client, connection: &str, goes_on: impl AsyncFn(Duration) -> bool) -> Vec<Duration> {
    let begin = Instant::now();
    let mut durations = Vec::new();
    while goes_on(begin.elapsed()).await {
        let slice = Instant::now() + Duration::from_millis(100);
        let workers = (0..IN_FLIGHT).map(|_| {
            let mut client = admin.clone();
            async move {
                let mut durations = Vec::new();
                while Instant::now() < slice {
                    let start = Instant::now();
                    client.read_connection(connection).await;
                    durations.push(start.elapsed());
                }
                durations
            }
        });
        durations.extend(join_all(workers).await.into_iter().flatten());
    }
    durations
}

async fn state(admin: &mut Client, run: &str) -> State {
    let request = pb::GetExportRunRequest { name: run.to_owned() };
    admin.exports.get_export_run(request).await.expect("found").into_inner().run.expect("a run").state()
}

async fn wait_for(admin: &mut Client, run: &str, wanted: State) {
    while state(admin, run).await != wanted {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
