//! The type `local_directory`: files in a directory of the server, below one that the operator assigned.

mod files;

use std::path::{Path, PathBuf};

use self::files::LocalFiles;
use super::progress::{Progress, TEST_TIMEOUT};
use super::staged::{is_segment, open, probe, remove_staged};
use super::{Check, CheckStep, Delivery, Destination, Opened, Target};
use crate::delivery::{DeliveryError, OutputFormat};
use crate::model::FailureCode;

/// A directory of an organization.
pub struct LocalDirectory {
    root: Option<PathBuf>,
    organization: String,
    /// Path of the folder of the export below the root: `<organization>/<directory>/<folder>`.
    folder: String,
}

impl LocalDirectory {
    /// The destination of a target. `root` is the setting `local_directory_root`; without it every delivery is refused.
    pub fn new(root: Option<PathBuf>, target: &Target) -> Result<Self, DeliveryError> {
        let organization = target.organization.as_str().to_owned();
        let mut folder = organization.clone();
        for value in [target.properties.get("directory"), target.settings.get("folder")].into_iter().flatten() {
            let path = value.as_str().unwrap_or_default();
            if !path.split('/').all(is_segment) {
                return Err(DeliveryError::new(FailureCode::Internal, format!("the path {path:?} is invalid")));
            }
            folder = format!("{folder}/{path}");
        }
        Ok(Self { root, organization, folder })
    }

    async fn files(&self) -> Result<LocalFiles, DeliveryError> {
        let root: Option<&Path> = self.root.as_deref();
        let root = root.ok_or_else(|| {
            DeliveryError::new(FailureCode::DestinationDenied, "the setting local_directory_root is not set")
        })?;
        LocalFiles::open(root, &self.organization).await
    }

    async fn check(&self) -> Result<(), DeliveryError> {
        probe(self.files(), &self.folder, TEST_TIMEOUT).await
    }
}

#[async_trait::async_trait]
impl Destination for LocalDirectory {
    fn format(&self) -> OutputFormat {
        OutputFormat::Files
    }

    async fn test(&self) -> Vec<Check> {
        let mut progress = Progress::default();
        progress.begin(CheckStep::Write);
        let result = self.check().await;
        if let Err(error) = &result {
            tracing::info!(%error, "a test of a local directory failed");
        }
        progress.checks(&[CheckStep::Write], &result)
    }

    async fn open(&self, delivery: &Delivery) -> Result<Opened, DeliveryError> {
        open(self.files().await?, &self.folder, delivery).await
    }

    async fn remove_staged(&self, saved_state: &str) -> Result<(), DeliveryError> {
        remove_staged(self.files().await?, saved_state).await
    }
}
