//! Runs the binary as operators do.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use chrono::TimeDelta;
use outflow::identity::DevelopmentIdentity;
use outflow::model::{Clock, Role};

use super::{Clients, client};

/// The command of the binary, on free ports and without the `OUTFLOW_…` variables of the environment.
pub fn outflow(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outflow"));
    let inherited = std::env::vars_os().map(|(key, _)| key);
    for key in inherited.filter(|key| key.to_string_lossy().starts_with("OUTFLOW_")) {
        command.env_remove(key);
    }
    command.env("OUTFLOW_LISTEN", "127.0.0.1:0").env("OUTFLOW_ADMIN_LISTEN", "127.0.0.1:0");
    command.arg("--data-dir").arg(data_dir).current_dir(data_dir);
    command
}

/// A server in a process of its own, killed when dropped.
pub struct Process {
    /// The process.
    pub child: Child,
    /// The address of the API.
    pub address: SocketAddr,
    /// The example call that it printed.
    pub example: String,
    /// What it has printed so far, on standard output and standard error.
    pub output: Arc<Mutex<String>>,
    data_dir: PathBuf,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it, and waits until it prints the example call.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, || ())
    }

    /// Starts it, runs `setup`, which it needs before it serves, and waits until it prints the example call.
    pub fn start_with(command: &mut Command, setup: impl FnOnce()) -> Self {
        let data_dir = command.get_current_dir().expect("a data directory").to_owned();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let output = Arc::new(Mutex::new(String::new()));
        let (sender, examples) = mpsc::channel();
        let readers = vec![
            read_lines(child.stdout.take().expect("standard output"), &output, sender.clone()),
            read_lines(child.stderr.take().expect("standard error"), &output, sender),
        ];
        setup();
        let Ok(example) = examples.recv() else {
            panic!("the server ended: {:?}: {}", child.wait(), output.lock().expect("its output"));
        };
        let address = example.split_whitespace().find_map(|word| word.parse().ok());
        Self { child, address: address.expect("an address in the example"), example, output, data_dir, readers }
    }

    /// Reads a field of `/proc/<pid>/status`, such as `VmRSS`, in KiB.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find(|line| line.starts_with(field)).expect("the field is known");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Resets the peak of its memory, `VmHWM`.
    pub fn reset_peak_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("written");
    }

    /// Waits until it has exited successfully, and returns all of its output.
    pub fn wait_for_output(mut self) -> String {
        assert!(self.child.wait().expect("the process exits").success());
        for reader in self.readers.drain(..) {
            reader.join().expect("all lines were read");
        }
        self.output.lock().expect("its output").clone()
    }

    /// The address of its admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        admin_address(&self.output.lock().expect("its output")).expect("a line with the address")
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }
}

/// The address of the admin listener of a server, from its log.
pub fn admin_address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("admin listener started"))?;
    line.split("address=").nth(1)?.trim().parse().ok()
}

/// Sends a signal to a process.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(status.expect("kill runs").success());
}

/// Appends all lines of a pipe to `output`, so that the process never blocks on a full pipe. Sends the example call.
fn read_lines(
    pipe: impl Read + Send + 'static,
    output: &Arc<Mutex<String>>,
    examples: mpsc::Sender<String>,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let line = line.expect("text");
            if line.contains("grpcurl") {
                // The receiver may have been dropped.
                let _ = examples.send(line.clone());
            }
            let mut output = output.lock().expect("its output");
            output.push_str(&line);
            output.push('\n');
        }
    })
}

impl Clients for Process {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn token(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> String {
        let identity = DevelopmentIdentity::open(&self.data_dir).expect("a development identity");
        let caller = (organization, subject);
        client::mint(&identity, Clock::default().now(), caller, roles, groups, TimeDelta::hours(12))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
