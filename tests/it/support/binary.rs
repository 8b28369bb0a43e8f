//! The binary as operators run it.

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

/// The binary with nothing of the shell's settings, on ports of its own.
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

/// A server in a process of its own; it is killed when dropped.
pub struct Process {
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it says about how to reach it.
    pub hint: String,
    /// What it has said so far, on both of its outputs.
    pub said: Arc<Mutex<String>>,
    data_dir: PathBuf,
    listening: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it, and waits for the line that says how to reach it.
    pub fn start(command: &mut Command) -> Self {
        Self::start_after(command, || ())
    }

    /// The same where something has to be done before it serves.
    pub fn start_after(command: &mut Command, meanwhile: impl FnOnce()) -> Self {
        let data_dir = command.get_current_dir().expect("the data directory").to_owned();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (sender, hints) = mpsc::channel();
        let listening = vec![
            listen(child.stdout.take().expect("its output"), &said, sender.clone()),
            listen(child.stderr.take().expect("its errors"), &said, sender),
        ];
        meanwhile();
        let Ok(hint) = hints.recv() else {
            panic!("the server ended: {:?}: {}", child.wait(), said.lock().expect("what it said"));
        };
        let address = hint.split_whitespace().find_map(|word| word.parse().ok());
        Self { child, address: address.expect("the hint holds the address"), hint, said, data_dir, listening }
    }

    /// A figure of its memory, by the kernel's name for it.
    pub fn memory_kib(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(figure)).expect("the kernel tells");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Lets the peak of its memory begin anew.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("it is ours");
    }

    /// What it said, once it has ended well.
    pub fn ended(mut self) -> String {
        assert!(self.child.wait().expect("it ends").success());
        for listening in self.listening.drain(..) {
            listening.join().expect("it was heard to its end");
        }
        self.said.lock().expect("what it said").clone()
    }

    /// Where it answers probes.
    pub fn probes(&self) -> SocketAddr {
        address_of_probes(&self.said.lock().expect("what it said")).expect("it says where")
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }
}

/// Where a server answers probes, by a line of its log.
pub fn address_of_probes(said: &str) -> Option<SocketAddr> {
    let line = said.lines().find(|line| line.contains("admin listener started"))?;
    line.split("address=").nth(1)?.trim().parse().ok()
}

/// Sends a signal to a process.
pub fn signal(child: &Child, name: &str) {
    let told = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    assert!(told.expect("kill runs").success());
}

/// Keeps what comes, to its end: nobody may leave a pipe full. The line that says how to reach the server is sent.
fn listen(pipe: impl Read + Send + 'static, said: &Arc<Mutex<String>>, hints: mpsc::Sender<String>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let line = line.expect("text");
            if line.contains("grpcurl") {
                // Whoever waited may have given up.
                let _ = hints.send(line.clone());
            }
            let mut said = said.lock().expect("what it said");
            said.push_str(&line);
            said.push('\n');
        }
    })
}

impl Clients for Process {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn token(&self, organization: &str, subject: &str, roles: &[Role], groups: &[&str]) -> String {
        let identity = DevelopmentIdentity::open(&self.data_dir).expect("its identity");
        let who = (organization, subject);
        client::mint(&identity, Clock::default().now(), who, roles, groups, TimeDelta::hours(12))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
