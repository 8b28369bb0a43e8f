//! A temporary PostgreSQL cluster for the whole test run, or a server that an environment variable names.
//!
//! The cluster ends with the test process: a shell waits on a pipe from the process and stops PostgreSQL when the pipe
//! closes, even if the process was killed.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::user::{own_unprivileged, run_unprivileged};

/// The variable with the URL of a server whose role may create databases. Without it a cluster is started.
const URL: &str = "OUTFLOW_TEST_POSTGRES_URL";

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A temporary cluster, or a server that the environment names.
pub struct Cluster {
    /// The URL of the superuser, without a database.
    pub base: String,
    /// Its log file; `None` for a server that the environment names.
    log: Option<PathBuf>,
    /// The shell that stops PostgreSQL; its standard input closes when this process ends.
    shell: Option<Child>,
}

/// Creates an empty database and returns its URL.
pub fn new_database() -> String {
    CLUSTER.get_or_init(start).new_database()
}

impl Cluster {
    /// Creates an empty database and returns its URL.
    pub fn new_database(&self) -> String {
        let name = format!("t{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
        let output = Command::new(program("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &format!("{}/postgres", self.base)])
            .args(["-c", &format!("CREATE DATABASE {name} TEMPLATE template0")])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("{}/{name}", self.base)
    }

    /// Counts the lines of its log that contain a text.
    pub fn log_lines(&self, text: &str) -> usize {
        let log = self.log.as_ref().map(|path| std::fs::read_to_string(path).expect("the cluster's log"));
        log.unwrap_or_default().lines().filter(|line| line.contains(text)).count()
    }

    /// Stops PostgreSQL at once, and waits until it has ended.
    pub fn stop(&mut self) {
        self.order("stop");
        wait_until("PostgreSQL ends", || !is_ready(&self.base));
    }

    /// Starts it again, and waits until it accepts connections.
    pub fn start(&mut self) {
        self.order("start");
        wait_until("PostgreSQL starts", || is_ready(&self.base));
    }

    fn order(&mut self, order: &str) {
        let shell = self.shell.as_mut().and_then(|shell| shell.stdin.as_mut()).expect("a cluster of this process");
        writeln!(shell, "{order}").expect("the shell reads");
    }
}

/// Counts the lines of the cluster's log that contain a text.
pub fn server_log_lines(text: &str) -> usize {
    CLUSTER.get().map_or(0, |cluster| cluster.log_lines(text))
}

/// The path of a program of PostgreSQL: of the newest installed version, or found on `PATH`.
pub fn program(name: &str) -> PathBuf {
    let newest = |root: &str| {
        let mut versions: Vec<_> = std::fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path()).collect();
        versions.sort();
        versions.into_iter().rev().map(|version| version.join("bin").join(name)).find(|path| path.exists())
    };
    let on_path = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.exists()));
    newest("/usr/lib/postgresql").or(on_path).unwrap_or_else(|| {
        panic!("{name} was not found: install PostgreSQL 15 or later (Debian: postgresql), or set {URL}")
    })
}

fn start() -> Cluster {
    if let Ok(base) = std::env::var(URL) {
        return Cluster { base: base.trim_end_matches('/').to_owned(), log: None, shell: None };
    }
    start_cluster("postgres", &[], "-c max_connections=800 -c shared_buffers=256MB")
}

/// Starts a cluster with files in its data directory, which only its user can read, and with options of `postgres`.
pub fn start_cluster(name: &str, files: &[(&str, &str)], options: &str) -> Cluster {
    let directory = std::env::temp_dir().join(format!("outflow-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory for the cluster");
    own_unprivileged(&directory);
    let data = directory.join("data");
    let mut initdb = Command::new(program("initdb"));
    initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
    let output = run_unprivileged(&mut initdb).current_dir("/").output().expect("initdb runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    for (file, text) in files {
        let file = data.join(file);
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("permissions");
        own_unprivileged(&file);
    }
    let shell = serve(&directory, &data, port, options);
    let base = format!("postgres://postgres@127.0.0.1:{port}");
    let log = directory.join("log");
    wait_until(&format!("PostgreSQL starts: see {}", log.display()), || is_ready(&base));
    Cluster { base, log: Some(log), shell: Some(shell) }
}

fn wait_until(what: &str, is_done: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("not within 30 s: {what}");
}

fn is_ready(base: &str) -> bool {
    let probe = Command::new(program("psql"))
        .args(["-X", "-q", "-c", "SELECT 1", "-d", &format!("{base}/postgres")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

/// Starts PostgreSQL below a shell that stops and starts it by orders on its standard input, and deletes its files when that
/// closes.
fn serve(directory: &Path, data: &Path, port: u16, options: &str) -> Child {
    // fsync is off because these databases need not survive a power failure.
    let script = format!(
        "run() {{ '{postgres}' -D '{data}' -k '{directory}' -p {port} -c listen_addresses=127.0.0.1 -c fsync=off \
         -c synchronous_commit=off -c full_page_writes=off {options} >>'{directory}/log' 2>&1 & server=$!; }}; \
         end() {{ kill -INT $server; wait $server; }}; run; \
         while read -r order; do case $order in stop) end ;; start) run ;; esac; done; end; rm -rf '{directory}'",
        postgres = program("postgres").display(),
        data = data.display(),
        directory = directory.display(),
    );
    let mut shell = Command::new("sh");
    // A process group of its own, so that Ctrl-C does not stop PostgreSQL before the tests have ended.
    shell.args(["-c", &script]).stdin(Stdio::piped()).process_group(0).current_dir("/");
    run_unprivileged(&mut shell).spawn().expect("sh runs")
}
