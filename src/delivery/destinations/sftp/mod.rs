//! The type `sftp`: files in a directory of an SSH server.

mod authentication;
mod connection;
mod errors;
mod files;
mod rsa;
mod session;
mod stream;
mod subsystem;

use std::sync::Arc;

use self::authentication::{Credential, authenticate};
use self::connection::{Server, connect};
use self::files::SftpFiles;
use self::session::Session;
use super::progress::{Progress, TEST_TIMEOUT};
use super::staged::{is_segment, open, probe, remove_staged};
use super::{Check, CheckStep, Delivery, Destination, Opened, Target};
use crate::delivery::{DeliveryError, OutputFormat};
use crate::dialer::Network;
use crate::model::FailureCode;
use crate::model::json::Object;

/// A directory of an SSH server.
pub struct Sftp {
    network: Network,
    server: Server,
    username: String,
    credential: Arc<Credential>,
    directory: String,
    /// Folder of the export, below the directory; may be empty.
    folder: String,
}

impl Sftp {
    /// The destination of a target.
    pub fn new(network: Network, target: Target) -> Result<Self, DeliveryError> {
        let properties = &target.properties;
        let credential = target
            .credential
            .ok_or_else(|| DeliveryError::new(FailureCode::CredentialRequired, "the connection has no credential"))?;
        let port = properties.get("port").and_then(serde_json::Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let folder = target.settings.get("folder").and_then(|folder| folder.as_str()).unwrap_or_default().to_owned();
        if !folder.is_empty() && !folder.split('/').all(is_segment) {
            return Err(DeliveryError::new(FailureCode::Internal, format!("the path {folder:?} is invalid")));
        }
        Ok(Self {
            network,
            server: Server {
                host: text(properties, "host")?,
                port: port.ok_or_else(|| missing("port"))?,
                host_key: text(properties, "host_key")?,
            },
            username: text(properties, "username")?,
            credential: Arc::new(Credential::new(credential)?),
            directory: text(properties, "directory")?,
            folder,
        })
    }

    async fn files(&self, progress: &mut Progress) -> Result<SftpFiles, DeliveryError> {
        let mut connection = connect(&self.network, &self.server, progress).await?;
        progress.begin(CheckStep::Authenticate);
        authenticate(&mut connection, &self.username, &self.credential).await?;
        progress.begin(CheckStep::Write);
        let (session, extensions) = subsystem::start(&connection).await?;
        let session = Session::open(session, extensions, &connection, &self.directory).await?;
        Ok(SftpFiles::new(connection, session))
    }

    async fn check(&self, progress: &mut Progress) -> Result<(), DeliveryError> {
        probe(self.files(progress), &self.folder, TEST_TIMEOUT).await
    }
}

#[async_trait::async_trait]
impl Destination for Sftp {
    fn format(&self) -> OutputFormat {
        OutputFormat::Files
    }

    async fn test(&self) -> Vec<Check> {
        let mut progress = Progress::default();
        let result = self.check(&mut progress).await;
        if let Err(error) = &result {
            tracing::info!(%error, "a test of an SFTP connection failed");
        }
        let steps = [CheckStep::Resolve, CheckStep::Connect, CheckStep::Tls, CheckStep::Authenticate, CheckStep::Write];
        progress.checks(&steps, &result)
    }

    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        open(self.files(&mut Progress::default()).await?, &self.folder, delivery).await
    }

    async fn remove_staged(&self, saved_state: &str) -> Result<(), DeliveryError> {
        remove_staged(self.files(&mut Progress::default()).await?, saved_state).await
    }
}

fn text(properties: &Object, key: &str) -> Result<String, DeliveryError> {
    properties.get(key).and_then(|value| value.as_str()).map(ToOwned::to_owned).ok_or_else(|| missing(key))
}

fn missing(key: &str) -> DeliveryError {
    DeliveryError::new(FailureCode::Internal, format!("the property {key} is missing"))
}
