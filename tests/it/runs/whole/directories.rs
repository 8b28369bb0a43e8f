//! Directories: of the service's host, and of an SSH server.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::content::{Expected, Shape};
use super::far_side::{Connection, FarSide, Interruption};
use super::files::{self, Files};
use super::local_watch::LocalWatch;
use super::proxy::HoldingProxy;
use crate::destinations::sftp::openssh::OpenSsh;

/// Bytes of a commit by SFTP: some renames and the manifest.
const SFTP_COMMIT_BYTES: u64 = 4_000;

/// A directory of this host, or of an SSH server.
pub struct DirectorySide {
    directory: PathBuf,
    connection: Connection,
    interruption: Box<dyn Interruption>,
    _server: Option<OpenSsh>,
}

impl DirectorySide {
    /// The directory `whole` below a root of local directories.
    pub fn local(root: &Path) -> Self {
        let directory = root.join("acme/whole");
        let properties = properties(&json!({"directory": "whole"}));
        Self {
            interruption: Box::new(LocalWatch::new(directory.clone())),
            directory,
            connection: Connection { connection_type: "local_directory", properties, credential: None },
            _server: None,
        }
    }

    /// Starts an SSH server that writes to its own directory, or to another one.
    pub async fn sftp(directory: Option<&Path>) -> Self {
        let server = OpenSsh::start();
        let directory = directory.map_or_else(|| server.directory(), Path::to_owned);
        let address: SocketAddr = server.address().parse().expect("an address");
        let proxy = HoldingProxy::start(address, SFTP_COMMIT_BYTES).await;
        let login = server.login();
        let properties = properties(&json!({
            "host": "127.0.0.1",
            "port": proxy.address.port(),
            "username": login.username,
            "directory": directory,
            "host_key": login.host_key,
        }));
        let fields = login.fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let credential = Some((login.method.to_owned(), fields));
        Self {
            directory,
            connection: Connection { connection_type: "sftp", properties, credential },
            interruption: Box::new(proxy),
            _server: Some(server),
        }
    }
}

fn properties(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[async_trait]
impl Files for DirectorySide {
    async fn read(&self, folder: &str, path: &str) -> Option<Bytes> {
        match tokio::fs::read(self.directory.join(folder).join(path)).await {
            Ok(content) => Some(content.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    async fn list(&self, folder: &str) -> Vec<String> {
        let root = self.directory.join(folder);
        let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned());
                }
            }
        }
        found
    }
}

#[async_trait]
impl FarSide for DirectorySide {
    fn connection(&self) -> Connection {
        self.connection.clone()
    }

    fn tables(&self, shape: Shape) -> &'static [&'static str] {
        of_files(shape)
    }

    fn settings(&self, shape: Shape, area: &str) -> Value {
        files::settings(shape, area)
    }

    fn interruption(&self) -> &dyn Interruption {
        self.interruption.as_ref()
    }

    async fn observe(&self, area: &str, expected: &Expected) -> bool {
        files::observe(self, area, expected).await
    }

    async fn assert_delivered(&self, area: &str, expected: &Expected) {
        files::assert_delivered(self, area, expected).await;
    }

    async fn list(&self, area: &str) -> Vec<String> {
        Files::list(self, area).await
    }
}

/// The tables of exports into files.
pub fn of_files(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::One => &["customers"],
        Shape::Several => &["customers", "orders"],
    }
}
