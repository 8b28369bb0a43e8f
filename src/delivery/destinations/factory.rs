//! Builds destinations.

use std::path::PathBuf;

use super::interface::{Destination, Target};
use super::local_directory::LocalDirectory;
use super::object_store::{azure_blob, gcs, s3};
use super::postgresql::Postgresql;
use super::sftp::Sftp;
use super::webhook::Webhook;
use crate::delivery::{DeliveryError, OutputFormat};
use crate::dialer::Dialer;
use crate::model::{Clock, ConnectionTypeId, FailureCode};

/// Builds the destinations of connections. Cheap to clone.
#[derive(Clone)]
pub struct Destinations {
    /// Opens their connections.
    dialer: Dialer,
    /// The clock of signed requests.
    clock: Clock,
    /// The directory that holds those of the type `local_directory`.
    local_directory_root: Option<PathBuf>,
}

impl Destinations {
    /// Destinations that connect through a dialer.
    pub fn new(dialer: Dialer, clock: Clock, local_directory_root: Option<PathBuf>) -> Self {
        Self { dialer, clock, local_directory_root }
    }

    /// The destination of a connection.
    pub fn build(
        &self,
        connection_type: &ConnectionTypeId,
        target: Target,
    ) -> Result<Box<dyn Destination>, DeliveryError> {
        let network = self.dialer.network(&target.organization);
        Ok(match connection_type.as_str() {
            "azure_blob" => azure_blob::destination(&target, network)?,
            "gcs" => gcs::destination(&target, network)?,
            "local_directory" => Box::new(LocalDirectory::new(self.local_directory_root.clone(), &target)?),
            "postgresql" => Box::new(Postgresql::new(target, network)?),
            "s3" => s3::destination(&target, network)?,
            "sftp" => Box::new(Sftp::new(network, target)?),
            "webhook" => Box::new(Webhook::new(target, network, self.clock.clone())?),
            other => {
                let detail = format!("connections of type {other} have no built-in destination");
                return Err(DeliveryError::new(FailureCode::NoRunner, detail));
            }
        })
    }

    /// The format that a type of destination takes. Previews of types without a built-in destination are JSON Lines.
    pub fn format(&self, connection_type: &ConnectionTypeId) -> OutputFormat {
        match connection_type.as_str() {
            "azure_blob" | "gcs" | "local_directory" | "s3" | "sftp" => OutputFormat::Files,
            "postgresql" => OutputFormat::CopyCsv,
            _ => OutputFormat::JsonLines,
        }
    }
}
