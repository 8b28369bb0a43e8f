//! PgBouncer in front of PostgreSQL: session pooling works, other modes are refused by name.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::{accept, refusal, server};
use crate::support::{own_unprivileged, run_unprivileged};

/// A pooler that ends with the test.
struct PgBouncer {
    port: u16,
    process: Child,
    _directory: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts it, and waits until it listens.
    fn start(mode: &str, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        own_unprivileged(directory.path());
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let file = directory.path().join("pgbouncer.ini");
        let file_text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n{settings}\n",
            server().port
        );
        std::fs::write(&file, file_text).expect("written");
        own_unprivileged(&file);
        let mut command = Command::new("/usr/sbin/pgbouncer");
        command.arg("-q").arg(&file).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        let process = run_unprivileged(&mut command).spawn().expect("pgbouncer is installed");
        let started = Self { port, process, _directory: directory };
        started.wait_until_it_listens();
        started
    }

    fn wait_until_it_listens(&self) {
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("PgBouncer does not listen within 30 s");
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, server().new_database())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SESSION: (&str, &str) = ("OUTFLOW_DATABASE_POOLER", "session");

#[test]
fn session_pooling_works_if_it_is_set() {
    let pooler = PgBouncer::start("session", "");
    let url = pooler.url();
    let error = refusal(&[("OUTFLOW_DATABASE_URL", &url)]);
    assert!(error.contains("unsupported startup parameter"), "{error}");
    assert!(error.contains("set `database_pooler = \"session\"`"), "{error}");
    accept(&[("OUTFLOW_DATABASE_URL", &url), SESSION]);
    let error = refusal(&[("OUTFLOW_DATABASE_URL", &format!("{url}?pgbouncer=true"))]);
    assert!(error.contains("the parameter `pgbouncer` is not supported"), "{error}");
}

#[test]
fn transaction_and_statement_pooling_are_refused_by_name() {
    for (mode, reason) in [("transaction", "transaction pooling"), ("statement", "statement pooling")] {
        let pooler = PgBouncer::start(mode, "");
        let error = refusal(&[("OUTFLOW_DATABASE_URL", &pooler.url()), SESSION]);
        assert!(error.contains(reason) && error.contains("connect to PostgreSQL itself"), "{mode}: {error}");
    }
}

#[test]
fn a_pooler_that_ignores_the_guards_is_recognised() {
    let ignore = "ignore_startup_parameters = options,extra_float_digits";
    let pooler = PgBouncer::start("session", ignore);
    let url = pooler.url();
    let error = refusal(&[("OUTFLOW_DATABASE_URL", &url)]);
    assert!(error.contains("a pooler ignores the start-up parameters"), "{error}");
    accept(&[("OUTFLOW_DATABASE_URL", &url), SESSION]);
    let pooler = PgBouncer::start("transaction", ignore);
    let error = refusal(&[("OUTFLOW_DATABASE_URL", &pooler.url())]);
    assert!(error.contains("transaction pooling"), "{error}");
}
