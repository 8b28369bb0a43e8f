//! CRASH: servers that are killed while callers create, detach and rotate.

use std::process::Command;

use outflow::grpc::proto as pb;

use crate::support::{
    Backend, Client, Clients as _, Database, Gate, Process, create_connection, create_export, new_database, outflow,
    parent,
};

/// The number of kills on each database, in a full run and otherwise.
const KILLS: (u64, u64) = (50, 5);
/// Exports that are detached together.
const BATCH: usize = 5;

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    exports: Vec<pb::Export>,
    /// Connections, each with a credential.
    connections: Vec<pb::Connection>,
    /// Exports that were detached together, and whether that was acknowledged.
    batches: Vec<(Vec<String>, bool)>,
}

/// Creates exports until a call fails.
async fn create_exports(mut admin: Client, connection: String, prefix: String) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    for number in 0.. {
        let request = create_export(&connection, &format!("{prefix}/{number}"));
        let Ok(response) = admin.exports.create_export(request).await else { break };
        acknowledged.exports.push(response.into_inner().export.expect("an export"));
    }
    acknowledged
}

/// Creates connections until a call fails.
async fn create_connections(mut admin: Client, prefix: String) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    for number in 0.. {
        let request = create_connection(&format!("{prefix}/{number}"));
        let Ok(response) = admin.connections.create_connection(request).await else { break };
        acknowledged.connections.push(response.into_inner().connection.expect("a connection"));
    }
    acknowledged
}

/// Creates exports and detaches some at a time, until a call fails.
async fn detach_batches(mut admin: Client, connection: String, prefix: String) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    for number in 0.. {
        let mut names = Vec::new();
        for member in 0..BATCH {
            let request = create_export(&connection, &format!("{prefix}/{number}/{member}"));
            let Ok(response) = admin.exports.create_export(request).await else { return acknowledged };
            names.push(response.into_inner().export.expect("an export").name);
        }
        let request = pb::BatchDetachExportsRequest { parent: parent(), names: names.clone(), ..Default::default() };
        let detached = admin.exports.batch_detach_exports(request).await.is_ok();
        acknowledged.batches.push((names, detached));
        if !detached {
            break;
        }
    }
    acknowledged
}

impl Acknowledged {
    fn add(&mut self, other: Self) {
        self.exports.extend(other.exports);
        self.connections.extend(other.connections);
        self.batches.extend(other.batches);
    }

    /// Panics if something was lost, or done by half.
    async fn check(&self, admin: &mut Client) {
        for export in &self.exports {
            assert_eq!(admin.read_export(&export.name).await, *export);
        }
        for connection in &self.connections {
            assert_eq!(admin.read_connection(&connection.name).await, *connection);
        }
        for (names, acknowledged) in &self.batches {
            let mut attached = 0;
            for name in names {
                attached += usize::from(!admin.read_export(name).await.connection.is_empty());
            }
            assert!(attached == 0 || attached == BATCH && !acknowledged, "{attached} of {BATCH} are attached");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let directory = tempfile::tempdir().expect("a directory");
        outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
        let url = match backend {
            Backend::Sqlite => format!("sqlite://{}", directory.path().join("outflow.db").display()),
            Backend::Postgres => tokio::task::spawn_blocking(new_database).await.expect("a database"),
        };
        let command = |arguments: &[&str]| -> Command {
            let mut command = outflow(directory.path());
            command.args(arguments).args(["--database-url", &url]);
            command
        };
        let gate = Gate::new(format!("CRASH, {backend:?}"), if Gate::is_full() { KILLS.0 } else { KILLS.1 });
        let mut all = Acknowledged::default();
        // Of the last round: earlier ones were checked already.
        let mut last = Acknowledged::default();
        let mut connection = String::new();
        while let Some(round) = gate.next() {
            let server = Process::start(&mut command(&[]));
            let mut admin = server.admin().await;
            if connection.is_empty() {
                connection = admin.connection("Partner").await.name;
            }
            last.check(&mut admin).await;
            all.add(std::mem::take(&mut last));
            let prefix = |kind: &str| format!("{round}/{kind}");
            let calling = (
                tokio::spawn(create_exports(admin.clone(), connection.clone(), prefix("a"))),
                tokio::spawn(create_exports(admin.clone(), connection.clone(), prefix("b"))),
                tokio::spawn(create_connections(admin.clone(), prefix("c"))),
                tokio::spawn(detach_batches(admin.clone(), connection.clone(), prefix("d"))),
            );
            let count = async |mut admin: Client| admin.read_connection(&connection).await.attached_export_count;
            let before = count(admin.clone()).await;
            while count(admin.clone()).await < before + 20 {}
            server.signal("KILL");
            for calls in [calling.0.await, calling.1.await, calling.2.await, calling.3.await] {
                last.add(calls.expect("the task ends"));
            }
        }
        let server = Process::start(&mut command(&[]));
        let mut admin = server.admin().await;
        all.add(last);
        all.check(&mut admin).await;
        // What was not acknowledged may exist, but only if it is consistent.
        Database::open(&url).await.check_rows().await;
        let verified = command(&["keys", "verify"]).output().expect("the binary runs");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let (exports, connections, batches) = (all.exports.len(), all.connections.len(), all.batches.len());
        assert!(exports >= 20 && connections > 0 && batches > 0);
        gate.report(&format!(
            ", {exports} exports, {connections} connections and {batches} batches of {BATCH}; all credentials open"
        ));
    }
}
