//! Implements GetDataset.

use super::error::unavailable;
use crate::app::App;
use crate::model::{Dataset, DatasetName, Error, OpContext, ResourceKind, Result};

impl App {
    /// Gets a dataset.
    pub async fn get_dataset(&self, context: &OpContext, name: &DatasetName) -> Result<Dataset> {
        let get = self.datasets().get(&context.organization, &name.table);
        let found = tokio::time::timeout_at(context.deadline.into(), get).await.map_err(|_| Error::DeadlineExceeded)?;
        let found = found.map_err(|error| unavailable(&context.organization, error))?;
        found.ok_or_else(|| Error::NotFound(ResourceKind::Dataset, name.to_string()))
    }
}
