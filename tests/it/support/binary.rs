//! The binary as operators run it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

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
}

impl Process {
    /// Starts it, and waits for the line that says how to reach it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let hint = lines.by_ref().map(|line| line.expect("text")).find(|line| line.contains("grpcurl"));
        let Some(hint) = hint else { panic!("the server ended: {:?}", child.wait()) };
        // Nobody may leave a pipe full.
        std::thread::spawn(move || lines.for_each(drop));
        let address = hint.split_whitespace().find_map(|word| word.parse().ok());
        Self { child, address: address.expect("the hint holds the address"), hint }
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(told.expect("kill runs").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
