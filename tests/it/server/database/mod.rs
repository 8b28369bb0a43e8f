//! The start with databases that cannot be used, separate settings, and poolers.

mod pooler;
mod startup;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::destinations::certificates::Authority;
use crate::support::{Cluster, outflow, program, start_cluster};

/// The password of the role `app`, with the characters that a URL must escape.
const PASSWORD: &str = "p@:/?#% w";
/// The same, percent-encoded.
const ENCODED: &str = "p%40%3A%2F%3F%23%25%20w";
/// The roles of applications need a password, with TLS or without; `stranger` has no entry.
const HBA: &str = "local all postgres trust\n\
                   host all postgres 127.0.0.1/32 trust\n\
                   host all app,busy,absent,alone,guest 127.0.0.1/32 scram-sha-256\n";

static SERVER: OnceLock<Server> = OnceLock::new();

/// A cluster with TLS and passwords.
struct Server {
    cluster: Cluster,
    port: u16,
    /// Certificate of the authority of the server, in PEM.
    authority: String,
}

fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let authority = Authority::new("servers");
        let identity = authority.issue("localhost");
        let files: &[(&str, &str)] =
            &[("server.crt", &identity.certificate), ("server.key", &identity.key), ("pg_hba.conf", HBA)];
        let cluster = start_cluster("settings", files, "-c ssl=on -c shared_buffers=32MB");
        let port = cluster.base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let server = Server { cluster, port, authority: authority.pem() };
        server.sql(&format!(
            "CREATE ROLE app LOGIN SUPERUSER PASSWORD '{PASSWORD}'; CREATE ROLE stranger LOGIN; \
             CREATE ROLE busy LOGIN CONNECTION LIMIT 0 PASSWORD 'x'; \
             CREATE ROLE alone LOGIN CONNECTION LIMIT 1 PASSWORD 'x'; CREATE ROLE guest LOGIN PASSWORD 'x'"
        ));
        server
    })
}

impl Server {
    fn sql(&self, statements: &str) {
        let output = Command::new(program("psql"))
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &format!("{}/postgres", self.cluster.base),
                "-c",
                statements,
            ])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Creates an empty database and returns its name.
    fn new_database(&self) -> String {
        self.cluster.new_database().rsplit('/').next().map(ToOwned::to_owned).expect("a name")
    }
}

/// Runs `outflow migrate up` with settings.
fn migrate(directory: &Path, settings: &[(&str, &str)]) -> Output {
    let mut command = outflow(directory);
    command.envs(settings.iter().copied()).args(["migrate", "up"]).output().expect("the binary runs")
}

/// The error of a migration that failed, which is one line and has no password.
fn refusal(settings: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let output = migrate(directory.path(), settings);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{settings:?} is accepted: {}", String::from_utf8_lossy(&output.stdout));
    for secret in ["hunter2", PASSWORD, ENCODED] {
        assert!(!errors.contains(secret), "{errors}");
    }
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

/// Checks that a migration succeeds.
fn accept(settings: &[(&str, &str)]) {
    let directory = tempfile::tempdir().expect("a directory");
    let output = migrate(directory.path(), settings);
    assert!(output.status.success(), "{settings:?}: {}", String::from_utf8_lossy(&output.stderr));
}
