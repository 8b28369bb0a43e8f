//! Servers of destinations on this machine: OpenSSH, and versitygw with the API of Amazon S3.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outflow::delivery::destinations::object_store::s3;
use outflow::delivery::destinations::sftp::Sftp;
use outflow::delivery::destinations::{Destination, Target};
use outflow::dialer::{Dialer, DialerSettings, Network};
use outflow::model::{CredentialSecret, OrganizationId, OutboundAllowance, Secret};
use serde_json::{Value, json};

pub const KEY_ID: &str = "benchmark";
pub const SECRET: &str = "secret-of-the-benchmark";
pub const REGION: &str = "us-east-1";
pub const BUCKET: &str = "bucket";

/// How long a server has to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A server in a process of its own, with its files.
pub struct Server {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts an SSH server that the key `user` may log in to.
    pub fn openssh() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        fs::create_dir_all("/run/sshd").expect("the directory for privilege separation");
        for key in ["host", "user"] {
            let path = folder.path().join(key);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
            assert!(made.expect("ssh-keygen starts").success());
        }
        fs::create_dir(folder.path().join("files")).expect("a directory");
        let (path, port) = (folder.path().display().to_string(), free_port());
        let configuration = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {path}/host\nAuthorizedKeysFile {path}/user.pub\nStrictModes no\n\
             PidFile none\nUsePAM no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
        );
        fs::write(folder.path().join("sshd_config"), configuration).expect("written");
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-f"]).arg(folder.path().join("sshd_config"));
        Self::start(&mut command, port, folder)
    }

    /// Starts a server with the API of Amazon S3, without buckets.
    pub fn versitygw() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        for name in ["objects", "metadata"] {
            fs::create_dir(folder.path().join(name)).expect("a directory");
        }
        let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
        fs::write(folder.path().join("tls.crt"), certificate.cert.pem()).expect("written");
        fs::write(folder.path().join("tls.key"), certificate.signing_key.serialize_pem()).expect("written");
        let port = free_port();
        let mut command = Command::new(tool("bin/versitygw"));
        command.args(["--port", &format!("127.0.0.1:{port}"), "--access", KEY_ID, "--secret", SECRET]);
        command.args(["--region", REGION, "--quiet", "--cert"]).arg(folder.path().join("tls.crt"));
        command.arg("--key").arg(folder.path().join("tls.key"));
        command.args(["posix", "--sidecar"]).arg(folder.path().join("metadata")).arg(folder.path().join("objects"));
        Self::start(&mut command, port, folder)
    }

    fn start(command: &mut Command, port: u16, folder: tempfile::TempDir) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = quiet.spawn().expect("tests/install.sh installs it");
        let server = Self { process, port, folder };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < START_TIMEOUT, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Removes what was written to it. Else an export, which writes new files, would fill memory that the system has not used
    /// before, and a copy over the last one would not.
    pub fn clear(&self) {
        for folder in [self.path("files"), self.path("objects").join(BUCKET)] {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                removed.expect("removed");
            }
        }
    }

    /// Its port on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path of one of its files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The SSH server as a destination.
    pub fn sftp(&self) -> Box<dyn Destination> {
        let printed = Command::new("ssh-keygen").arg("-lf").arg(self.path("host")).output().expect("ssh-keygen starts");
        let printed = String::from_utf8(printed.stdout).expect("UTF-8");
        let properties = json!({
            "host": "127.0.0.1",
            "port": self.port,
            "username": "root",
            "directory": self.path("files"),
            "host_key": printed.split_whitespace().nth(1).expect("a fingerprint"),
        });
        let key = fs::read_to_string(self.path("user")).expect("a key");
        let target = target(properties, "private_key", &[("private_key", &key)]);
        Box::new(Sftp::new(network(None), target).expect("a destination"))
    }

    /// The bucket of the S3 server as a destination.
    pub fn s3(&self) -> Box<dyn Destination> {
        let properties = json!({
            "endpoint": format!("https://127.0.0.1:{}", self.port),
            "region": REGION,
            "bucket": BUCKET,
            "addressing_style": "path",
        });
        let fields = [("access_key_id", KEY_ID), ("secret_access_key", SECRET)];
        let target = target(properties, "access_key", &fields);
        s3::destination(&target, network(Some(&self.path("tls.crt")))).expect("a destination")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A tool that `tests/install.sh` installs.
pub fn tool(path: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("outflow/tools").join(path)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn organization() -> OrganizationId {
    OrganizationId::parse("acme").expect("an id")
}

fn network(authorities: Option<&Path>) -> Network {
    let allowances = vec![OutboundAllowance::parse("*=127.0.0.1").expect("an allowance")];
    let settings = DialerSettings { allowances, authorities: authorities.map(Path::to_owned) };
    Dialer::new(settings).expect("settings").network(&organization())
}

fn target(properties: Value, method: &str, fields: &[(&str, &str)]) -> Target {
    let Value::Object(properties) = properties else { panic!("properties are an object") };
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), Secret::new((*value).to_owned()))).collect();
    let credential = Some(CredentialSecret { auth_method: method.to_owned(), fields });
    Target { organization: organization(), properties, credential, settings: serde_json::Map::new() }
}
