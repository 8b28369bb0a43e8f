//! KEYS: everything is sealed with another key while servers run, and the old key is retired.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use outflow::grpc::proto as pb;

use crate::support::{Backend, Clients as _, Gate, Process, create_connection, new_database, outflow, print_line};

/// Credentials, in a full run and otherwise.
const CREDENTIALS: (usize, usize) = (2_000, 150);
/// How often `rewrap` is killed.
const KILLS: u64 = 5;
/// Number of callers that make changes meanwhile.
const CALLERS: usize = 16;

struct Installation {
    directory: tempfile::TempDir,
    url: Option<String>,
}

impl Installation {
    async fn new(backend: Backend) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        outflow::vault::generate_first(&directory.path().join("keys")).expect("a key");
        let url = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(tokio::task::spawn_blocking(new_database).await.expect("a database")),
        };
        Self { directory, url }
    }

    fn command(&self, primary: &str, arguments: &[&str]) -> Command {
        let mut command = outflow(self.directory.path());
        command.args(arguments).env("OUTFLOW_PRIMARY_KEY", primary).env("OUTFLOW_RUNS", "off");
        if let Some(url) = &self.url {
            command.args(["--database-url", url]);
        }
        command
    }

    /// Runs a command. Returns whether it succeeded, and what it printed.
    fn run(&self, primary: &str, arguments: &[&str]) -> (bool, String) {
        let output = self.command(primary, arguments).output().expect("the binary runs");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    fn key(&self, id: &str) -> PathBuf {
        Path::new(self.directory.path()).join("keys").join(id)
    }
}

/// Replaces credentials until it is told to stop. Returns how many.
async fn rotate(server: &Process, names: &[String], stop: &AtomicBool) -> usize {
    let admin = server.admin().await;
    let mut rotated = 0;
    for name in names.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let credential = create_connection("Partner").credential;
        let request = pb::RotateConnectionCredentialRequest { name: name.clone(), credential, ..Default::default() };
        admin.clone().connections.rotate_connection_credential(request).await.expect("rotated");
        rotated += 1;
    }
    rotated
}

async fn rewrap_under_load(backend: Backend) {
    let installation = Installation::new(backend).await;
    let server = Process::start(&mut installation.command("k0001", &[]));
    let count = if Gate::is_full() { CREDENTIALS.0 } else { CREDENTIALS.1 };
    let admin = server.admin().await;
    let create = |number: usize| {
        let mut admin = admin.clone();
        async move {
            let request = create_connection(&format!("Partner {number}"));
            let created = admin.connections.create_connection(request).await.expect("created").into_inner();
            created.connection.expect("a connection").name
        }
    };
    let names: Vec<String> = stream::iter(0..count).map(create).buffered(CALLERS).collect().await;
    drop(server);

    let (generated, _) = installation.run("k0001", &["keys", "generate", "--id", "k0002"]);
    assert!(generated);
    let server = Process::start(&mut installation.command("k0002", &[]));
    let stop = AtomicBool::new(false);
    let rewrapping = async {
        for kill in 1..=KILLS {
            let mut command = installation.command("k0002", &["keys", "rewrap"]);
            let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
            tokio::time::sleep(Duration::from_millis(20 * kill)).await;
            process.kill().expect("killed");
            process.wait().expect("ended");
            // Every credential opens, whatever was done so far.
            let (verified, text) = installation.run("k0002", &["keys", "verify"]);
            assert!(verified, "{text}");
        }
        let (rewrapped, text) = installation.run("k0002", &["keys", "rewrap"]);
        assert!(rewrapped, "{text}");
        stop.store(true, Ordering::Relaxed);
    };
    let ((), rotated) = tokio::join!(rewrapping, rotate(&server, &names[..10], &stop));

    let (verified, text) = installation.run("k0002", &["keys", "verify"]);
    assert!(verified && text.contains(&format!("{count} credentials sealed with k0002")), "{text}");
    assert!(!text.contains("k0001"), "{text}");
    let (retired, text) = installation.run("k0002", &["keys", "retire", "k0002"]);
    assert!(!retired && text.contains("k0002 is the primary key"), "{text}");
    let (retired, text) = installation.run("k0002", &["keys", "retire", "k0001"]);
    assert!(retired, "{text}");
    drop(server);
    std::fs::remove_file(installation.key("k0001")).expect("removed");
    drop(Process::start(&mut installation.command("k0002", &[])));
    print_line(&format!(
        "gate KEYS, {backend:?}: {count} credentials sealed with another key, {KILLS} kills, {rotated} rotations, 0 bad"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sealed_with_another_key_under_load_on_sqlite() {
    rewrap_under_load(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sealed_with_another_key_under_load_on_postgresql() {
    rewrap_under_load(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_seals_something_is_not_retired() {
    let installation = Installation::new(Backend::Sqlite).await;
    let server = Process::start(&mut installation.command("k0001", &[]));
    let mut admin = server.admin().await;
    admin.connections.create_connection(create_connection("Partner")).await.expect("created");
    drop(server);
    assert!(installation.run("k0001", &["keys", "generate", "--id", "k0002"]).0);
    let (retired, text) = installation.run("k0002", &["keys", "retire", "k0001"]);
    assert!(!retired && text.contains("k0001 is in use"), "{text}");
    // Another key with the same id does not open the credential.
    std::fs::remove_file(installation.key("k0001")).expect("removed");
    assert!(installation.run("k0002", &["keys", "generate", "--id", "k0001"]).0);
    let (verified, text) = installation.run("k0002", &["keys", "verify"]);
    assert!(!verified && text.contains("k0001"), "{text}");
}
