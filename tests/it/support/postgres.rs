//! A throw-away PostgreSQL cluster for the whole test run, or one that the environment names.
//!
//! The cluster lives as long as the test process: a shell that waits on a pipe from it ends the server when the pipe
//! closes, however the process ends.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names a server whose role may create databases; without it a cluster is started.
const URL: &str = "OUTFLOW_TEST_POSTGRES_URL";
/// The ordinary user that PostgreSQL runs as when the tests are run by root, which it refuses.
const NOBODY: u32 = 65_534;

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

struct Cluster {
    base: String,
    /// What it logs; of a server that the environment names nothing is known.
    log: Option<PathBuf>,
    /// Its standard input is closed when this process ends.
    _shell: Option<Child>,
}

/// The URL of a new, empty database.
pub fn new_database() -> String {
    let cluster = CLUSTER.get_or_init(start);
    let name = format!("t{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed));
    let output = Command::new(program("psql"))
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &format!("{}/postgres", cluster.base)])
        .args(["-c", &format!("CREATE DATABASE {name} TEMPLATE template0")])
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("{}/{name}", cluster.base)
}

/// How many lines of the cluster's log have these words.
pub fn server_log_lines(words: &str) -> usize {
    let log = CLUSTER.get().and_then(|cluster| cluster.log.as_ref());
    let log = log.map(|path| std::fs::read_to_string(path).expect("the cluster's log")).unwrap_or_default();
    log.lines().filter(|line| line.contains(words)).count()
}

/// The folder of PostgreSQL's programs.
pub fn program(name: &str) -> PathBuf {
    let newest = |root: &str| {
        let mut versions: Vec<_> = std::fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path()).collect();
        versions.sort();
        versions.into_iter().rev().map(|version| version.join("bin").join(name)).find(|path| path.exists())
    };
    let on_path = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.exists()));
    newest("/usr/lib/postgresql").or(on_path).unwrap_or_else(|| {
        panic!("{name} was not found: install PostgreSQL 15 or later (Debian: postgresql), or set {URL}")
    })
}

#[expect(clippy::zombie_processes, reason = "the shell ends with this process, which keeps it in the cluster")]
fn start() -> Cluster {
    if let Ok(base) = std::env::var(URL) {
        return Cluster { base: base.trim_end_matches('/').to_owned(), log: None, _shell: None };
    }
    let folder = std::env::temp_dir().join(format!("outflow-postgres-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the cluster");
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if root {
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("the folder changes hands");
    }
    let data = folder.join("data");
    let mut initdb = as_user(Command::new(program("initdb")), root);
    initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
    let output = initdb.current_dir("/").output().expect("initdb runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let shell = serve(&folder, &data, port, root);
    let base = format!("postgres://postgres@127.0.0.1:{port}");
    for _ in 0..600 {
        if ready_now(&base) {
            return Cluster { base, log: Some(folder.join("log")), _shell: Some(shell) };
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("PostgreSQL did not start: see {}", folder.join("log").display());
}

fn ready_now(base: &str) -> bool {
    let probe = Command::new(program("psql"))
        .args(["-X", "-q", "-c", "SELECT 1", "-d", &format!("{base}/postgres")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

fn serve(folder: &Path, data: &Path, port: u16, root: bool) -> Child {
    // fsync off: these databases need not outlive the power; what must is tested with a cluster of its own.
    let script = format!(
        "'{postgres}' -D '{data}' -k '{folder}' -p {port} -c listen_addresses=127.0.0.1 -c fsync=off \
         -c synchronous_commit=off -c full_page_writes=off -c max_connections=800 -c shared_buffers=256MB \
         >'{folder}/log' 2>&1 & server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf '{folder}'",
        postgres = program("postgres").display(),
        data = data.display(),
        folder = folder.display(),
    );
    let mut shell = as_user(Command::new("sh"), root);
    // A group of its own: a Ctrl-C for the tests must not end the server before the tests have ended.
    shell.args(["-c", &script]).stdin(Stdio::piped()).process_group(0).current_dir("/");
    shell.spawn().expect("a shell runs")
}

fn as_user(mut command: Command, root: bool) -> Command {
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
