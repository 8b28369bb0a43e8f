//! Connections that are cut at random points of a delivery.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use outflow::delivery::Manifest;
use outflow::model::FailureCode;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use super::super::content::Content;
use super::Login;
use super::openssh::OpenSsh;
use crate::support::Gate;

/// How long an attempt may take: less than each timeout of an operation, and much more than a delivery takes.
const MAX_DURATION_OF_ATTEMPT: Duration = Duration::from_secs(20);

/// A proxy that closes a connection after a number of bytes from the client.
struct Proxy {
    port: u16,
    limit: Arc<AtomicU64>,
    forwarded: Arc<AtomicU64>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (limit, forwarded) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let proxy = Self { port, limit: Arc::clone(&limit), forwarded: Arc::clone(&forwarded) };
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&server).await.expect("the server listens");
                let limit = limit.load(Ordering::Relaxed);
                let forwarded = Arc::clone(&forwarded);
                tokio::spawn(async move {
                    let (client_read, mut client_write) = client.split();
                    let (mut server_read, mut server_write) = server.split();
                    let mut limited = client_read.take(limit);
                    tokio::select! {
                        _ = copy(&mut limited, &mut server_write) => {}
                        _ = copy(&mut server_read, &mut client_write) => {}
                    }
                    forwarded.fetch_max(limit - limited.limit(), Ordering::Relaxed);
                });
            }
        });
        proxy
    }
}

/// Reads a directory all the time, and fails if a file is incomplete under its final name.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Reader {
    /// `permitted` holds the contents that each path may have.
    fn start(directory: PathBuf, permitted: BTreeMap<String, Vec<Vec<u8>>>, manifest_path: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut reads = 0;
            while !stopped.load(Ordering::Relaxed) {
                // The manifest first: what it describes must be there.
                let manifest = std::fs::read(directory.join(&manifest_path)).ok();
                if let Some(manifest) = &manifest {
                    serde_json::from_slice::<Manifest>(manifest).expect("a complete manifest");
                }
                for (path, contents) in &permitted {
                    match std::fs::read(directory.join(path)) {
                        Ok(found) => assert!(contents.contains(&found), "{path} has {} bytes", found.len()),
                        Err(_) => assert!(manifest.is_none(), "a manifest without {path}"),
                    }
                }
                reads += 1;
                // Leaves the processors to the delivery.
                std::thread::sleep(Duration::from_micros(100));
            }
            reads
        });
        Self { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("only complete files")
    }
}

/// Delivers through a proxy that cuts the connection, then again; returns whether the first attempt failed, and the number of
/// reads during both.
async fn round(server: &OpenSsh, proxy: &Proxy, name: &str, random: &mut StdRng, several: bool) -> (bool, u64) {
    let directory = server.directory().join(name);
    let login = Login { port: proxy.port, ..server.login() };
    let destination = login.destination(&json!({"folder": name}));
    let (earlier_run, run) = (Uuid::now_v7(), Uuid::now_v7());
    let content = |run: Uuid, seed: u64| {
        if several { Content::several(run, 150_000, seed) } else { Content::single("customers.csv", 400_000, seed) }
    };
    let (earlier, content) = (content(earlier_run, 1), content(run, 2));
    proxy.limit.store(u64::MAX, Ordering::Relaxed);
    assert!(earlier.deliver(&destination, earlier_run, 0).await.expect("delivered"));
    drop_run_folder(&directory, several);

    let mut permitted: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, bytes) in content.files.iter().chain(earlier.files.iter().filter(|_| !several)) {
        permitted.entry(path.clone()).or_default().push(bytes.to_vec());
    }
    let reader = Reader::start(directory.clone(), permitted, content.manifest_path.clone());
    let whole = proxy.forwarded.load(Ordering::Relaxed).max(400_000);
    // In every second round around the commit, which sends about 3 KB.
    let from = if random.random_bool(0.5) { 1 } else { whole - 4_000 };
    proxy.limit.store(random.random_range(from..whole + 1_000), Ordering::Relaxed);
    let start = Instant::now();
    let first = content.deliver(&destination, run, 0).await;
    assert!(start.elapsed() < MAX_DURATION_OF_ATTEMPT, "the cut was not noticed at once: {:?}", start.elapsed());
    if let Err(error) = &first {
        assert_eq!(error.code, FailureCode::DestinationUnreachable, "{error}");
        assert!(error.code.is_retryable());
    }
    proxy.limit.store(u64::MAX, Ordering::Relaxed);
    content.deliver(&destination, run, 1).await.expect("delivered");
    let reads = reader.stop();
    content.assert_delivered(&directory, run);
    (first.is_err(), reads)
}

/// Removes the result of the earlier run if it does not share its names with the next one.
fn drop_run_folder(directory: &Path, several: bool) {
    if several {
        std::fs::remove_dir_all(directory.join("weekly")).expect("removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_leaves_no_partial_file_and_the_next_attempt_delivers_once() {
    let server = OpenSsh::start();
    let proxy = Proxy::start(server.address()).await;
    let gate = Gate::new("SFTP cut", if Gate::is_full() { 200 } else { 20 });
    let (mut cut, mut reads) = (0, 0);
    while let Some(number) = gate.next() {
        let mut random = StdRng::seed_from_u64(number);
        let name = format!("round-{number}");
        let (failed, read) = round(&server, &proxy, &name, &mut random, number % 2 == 1).await;
        cut += u64::from(failed);
        reads += read;
    }
    assert!(cut > gate.reached() / 2, "only {cut} attempts were cut");
    assert!(reads > gate.reached(), "the reader read only {reads} times");
    gate.report(&format!(", {cut} attempts cut, {reads} reads meanwhile"));
}
