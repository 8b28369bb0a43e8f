//! Exports of one row that are due at once, among many others, with two replicas on one PostgreSQL.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use outflow::grpc::proto as pb;
use outflow::model::Role;
use prost_types::Timestamp;

use crate::support::{Backend, Client, Clients as _, Database, TestServer, export_on, new_database, object, text};

const ORGANIZATIONS: usize = 20;
/// Connections of an organization.
const CONNECTIONS: usize = 25;
/// Exports that are made in a second, at least.
const EXPORTS_PER_SECOND: usize = 5_000;
/// Runs of the exports that have ended before.
const HISTORY: usize = 50_000;
/// The runs that are measured.
const OF_SCHEDULE: &str = "trigger <> 'MANUAL'";
/// How long the runs may take.
const TIMEOUT: Duration = Duration::from_mins(30);

/// Runs the benchmark.
pub async fn run(due: usize, others: usize) {
    let root = tempfile::tempdir().expect("a directory");
    let path = |name: &str| root.path().join(name).to_str().expect("a path").to_owned();
    for organization in 0..ORGANIZATIONS {
        let folder = root.path().join(format!("datasets/org-{organization}"));
        std::fs::create_dir_all(&folder).expect("created");
        std::fs::write(folder.join("customers.csv"), "email\nann@example.org\n").expect("written");
    }
    std::fs::create_dir(root.path().join("outbox")).expect("created");
    outflow::vault::generate_first(&root.path().join("keys")).expect("a key");
    let url = tokio::task::spawn_blocking(new_database).await.expect("a database");
    let settings = |runs: &str| {
        vec![
            ("runs", runs.to_owned()),
            ("database_url", url.clone()),
            ("key_dir", path("keys")),
            ("dataset_location", path("datasets")),
            ("local_directory_root", path("outbox")),
        ]
    };
    let preparing = TestServer::start_with(Backend::Postgres, settings("off")).await;
    let preparation = Duration::from_secs(60 + (others / EXPORTS_PER_SECOND) as u64);
    let due_time = preparing.clock.now() + preparation;
    let database = Database::open(&url).await;
    let copies = due / (ORGANIZATIONS * CONNECTIONS);
    let prepared = (0..ORGANIZATIONS).map(|number| prepare(&preparing, number, due_time.timestamp()));
    for export in join_all(prepared).await.into_iter().flatten() {
        database.attach_copies(&export, copies as u64 - 1).await;
    }
    let mut admin = preparing.caller("org-0", "root", &[Role::Admin], &[]).await;
    let connection = create_connection(&mut admin, "org-0", "others").await;
    let other = create_export(&mut admin, "org-0", &connection, due_time.timestamp() + 30 * 86_400).await;
    database.attach_copies(&other, others as u64 - 1).await;
    database.execute(&history(HISTORY)).await;
    // As autovacuum would have done in a database that was not filled just now.
    database.execute("VACUUM (ANALYZE)").await;
    preparing.stop().await;
    let left = due_time - outflow::model::Clock::default().now();
    println!("{due} exports are due in {} s, among {others} others", left.num_seconds());
    assert!(left.num_seconds() > 0, "the preparation took too long");

    measure(&database, &settings("on"), copies * ORGANIZATIONS * CONNECTIONS).await;
}

/// Runs everything that is due on two replicas, and prints how long it takes.
async fn measure(database: &Database, settings: &[(&'static str, String)], due: usize) {
    let mut replicas = Vec::new();
    for _ in 0..2 {
        replicas.push(TestServer::start_with(Backend::Postgres, settings.to_vec()).await);
    }
    let begin = Instant::now();
    let count = |state: &str| format!("SELECT count(*) FROM runs WHERE {OF_SCHEDULE} AND state = '{state}'");
    let due = i64::try_from(due).expect("small");
    while database.fetch_count(&count("SUCCEEDED")).await < due {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(begin.elapsed() < TIMEOUT, "the runs do not end");
    }
    for (state, expected) in [("SKIPPED", 0), ("FAILED", 0), ("SUCCEEDED", due)] {
        assert_eq!(database.fetch_count(&count(state)).await, expected, "{state}");
    }
    let millis = |what: &str| format!("SELECT ({what})::bigint FROM runs WHERE {OF_SCHEDULE}");
    let span = "extract(epoch FROM max(end_time) - min(schedule_time)) * 1000";
    let total = Duration::from_millis(database.fetch_count(&millis(span)).await.unsigned_abs());
    let lag = |share: &str| {
        let percentile = format!("percentile_disc({share}) WITHIN GROUP");
        millis(&format!("{percentile} (ORDER BY extract(epoch FROM start_time - schedule_time) * 1000)"))
    };
    let mut lags = Vec::new();
    for share in ["0.5", "0.99"] {
        lags.push(Duration::from_millis(database.fetch_count(&lag(share)).await.unsigned_abs()));
    }
    let created = lag("0.99").replace("start_time -", "create_time -");
    let created = Duration::from_millis(database.fetch_count(&created).await.unsigned_abs());
    println!(
        "{due} runs in {total:.1?}: {:.0} per second; lag of the start: median {:.1?}, p99 {:.1?}; of the queue: p99 \
         {created:.1?}",
        f64::from(i32::try_from(due).expect("small")) / total.as_secs_f64(),
        lags[0],
        lags[1]
    );
    for replica in replicas {
        replica.stop().await;
    }
}

/// Runs by hand that have succeeded.
fn history(runs: usize) -> String {
    format!(
        "INSERT INTO runs (organization, uid, export_uid, export_display_name, connection_uid, connection_id, \
         connection_type, state, trigger, principal, create_time, start_time, end_time, attempt) \
         SELECT e.organization, gen_random_uuid(), e.uid, e.display_name, c.uid, c.id, c.connection_type, 'SUCCEEDED', \
         'MANUAL', 'root', now(), now(), now(), 1 FROM exports e JOIN connections c \
         ON c.organization = e.organization AND c.uid = e.connection_uid LIMIT {runs}"
    )
}

/// Creates the connections of an organization, each with an export. Returns these.
async fn prepare(server: &TestServer, number: usize, due_time: i64) -> Vec<pb::Export> {
    let organization = format!("org-{number}");
    let mut admin = server.caller(&organization, "root", &[Role::Admin], &[]).await;
    let mut exports = Vec::new();
    for number in 0..CONNECTIONS {
        let connection = create_connection(&mut admin, &organization, &format!("connection-{number}")).await;
        exports.push(create_export(&mut admin, &organization, &connection, due_time).await);
    }
    exports
}

async fn create_connection(admin: &mut Client, organization: &str, id: &str) -> String {
    let connection = pb::Connection {
        display_name: id.to_owned(),
        connection_type: "connectionTypes/local_directory".to_owned(),
        properties: Some(object([("directory", text(id))])),
        ..pb::Connection::default()
    };
    let request = pb::CreateConnectionRequest {
        parent: format!("organizations/{organization}"),
        connection: Some(connection),
        ..pb::CreateConnectionRequest::default()
    };
    let created = admin.connections.create_connection(request).await.expect("created").into_inner();
    created.connection.expect("a connection").name
}

async fn create_export(admin: &mut Client, organization: &str, connection: &str, due_time: i64) -> pb::Export {
    let mut export = export_on(connection, "Due at once");
    export.schedule = Some(pb::Schedule {
        timing: Some(pb::schedule::Timing::Interval(pb::schedule::Interval {
            every: Some(prost_types::Duration { seconds: 60 * 86_400, nanos: 0 }),
            anchor: Some(Timestamp { seconds: due_time, nanos: 0 }),
        })),
        enabled: true,
        ..pb::Schedule::default()
    });
    let request = pb::CreateExportRequest {
        parent: format!("organizations/{organization}"),
        export: Some(export),
        ..pb::CreateExportRequest::default()
    };
    admin.exports.create_export(request).await.expect("created").into_inner().export.expect("an export")
}
