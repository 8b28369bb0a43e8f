//! An OpenSSH server of its own for a test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Login;
use crate::support::{own_unprivileged, unprivileged};

/// The server. Debian installs it here; it must be started by an absolute path.
const SSHD: &str = "/usr/sbin/sshd";
/// How long the server has to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server. It serves [`OpenSsh::directory`], which is also the login directory.
pub struct OpenSsh {
    folder: tempfile::TempDir,
    process: Child,
    port: u16,
    username: String,
}

impl OpenSsh {
    /// Starts a server with host keys of three types.
    pub fn start() -> Self {
        Self::start_with("Subsystem sftp internal-sftp -d %files\n")
    }

    /// Starts a server with additional lines of its configuration, in which `%files` is the directory that it serves.
    pub fn start_with(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let files = folder.path().join("files");
        fs::create_dir(&files).expect("a directory");
        let username = if let Some(user) = unprivileged() {
            fs::create_dir_all("/run/sshd").expect("the directory for privilege separation");
            own_unprivileged(&files);
            user.to_owned()
        } else {
            output(Command::new("id").arg("-un")).trim().to_owned()
        };
        for (kind, bits) in [("ed25519", ""), ("ecdsa", "256"), ("rsa", "2048")] {
            generate_key(&host_key(folder.path(), kind), kind, bits, "", None);
        }
        let user_key = folder.path().join("user");
        generate_key(&user_key, "ed25519", "", "", None);
        fs::copy(user_key.with_extension("pub"), folder.path().join("authorized_keys")).expect("copied");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let configuration = configuration.replace("%files", files.to_str().expect("UTF-8"));
        let process = serve(folder.path(), port, &configuration);
        let mut server = Self { folder, process, port, username };
        server.await_start();
        server
    }

    /// The directory that it serves.
    pub fn directory(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Creates a directory in it.
    pub fn create_directory(&self, name: &str) {
        let directory = self.directory().join(name);
        fs::create_dir(&directory).expect("created");
        own_unprivileged(&directory);
    }

    /// A login with the key that [`OpenSsh::start`] made.
    pub fn login(&self) -> Login {
        let login = Login {
            port: self.port,
            username: self.username.clone(),
            directory: self.directory().to_str().expect("UTF-8").to_owned(),
            host_key: self.fingerprint("ed25519"),
            method: "",
            fields: Vec::new(),
        };
        login.private_key(&fs::read_to_string(self.folder.path().join("user")).expect("a key"), None)
    }

    /// The fingerprint of a host key, as ssh-keygen prints it.
    pub fn fingerprint(&self, kind: &str) -> String {
        let printed = output(Command::new("ssh-keygen").arg("-lf").arg(host_key(self.folder.path(), kind)));
        printed.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }

    /// Makes a user key that may log in, and returns its private part.
    pub fn user_key(&self, kind: &str, bits: &str, passphrase: &str, format: Option<&str>) -> String {
        let folder = tempfile::tempdir_in(self.folder.path()).expect("a directory");
        let path = folder.path().join("key");
        generate_key(&path, kind, bits, passphrase, format);
        let authorized = self.folder.path().join("authorized_keys");
        let mut keys = fs::read_to_string(&authorized).expect("keys");
        keys += &fs::read_to_string(path.with_extension("pub")).expect("a public key");
        fs::write(authorized, keys).expect("written");
        fs::read_to_string(path).expect("a key")
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn await_start(&mut self) {
        let start = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(self.process.try_wait().expect("a process").is_none(), "sshd ended: {}", log());
            assert!(start.elapsed() < START_TIMEOUT, "sshd does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(folder: &Path, port: u16, configuration: &str) -> Child {
    let path = folder.display();
    let configuration = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {path}/host_ed25519\nHostKey {path}/host_ecdsa\nHostKey {path}/host_rsa\n\
         AuthorizedKeysFile {path}/authorized_keys\nStrictModes no\nPidFile none\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nMaxStartups 200\nLogLevel VERBOSE\n{configuration}"
    );
    fs::write(folder.join("sshd_config"), configuration).expect("written");
    let mut command = Command::new(SSHD);
    command.args(["-D", "-f"]).arg(folder.join("sshd_config")).arg("-E").arg(folder.join("log"));
    command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{SSHD}: {error}; see tests/install.sh"))
}

fn host_key(folder: &Path, kind: &str) -> PathBuf {
    folder.join(format!("host_{kind}"))
}

fn generate_key(path: &Path, kind: &str, bits: &str, passphrase: &str, format: Option<&str>) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path);
    if !bits.is_empty() {
        command.args(["-b", bits]);
    }
    if let Some(format) = format {
        command.args(["-m", format]);
    }
    output(&mut command);
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("a program of OpenSSH; see tests/install.sh");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
