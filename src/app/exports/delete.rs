//! DeleteExport and BatchDeleteExports.

use uuid::Uuid;

use super::{BatchOutcome, attachment, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::{ResourceId, Result};

/// Deletes an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteExport {
    /// Id of the export.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
}

/// Deletes many exports, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchDeleteExports {
    /// Ids of the exports.
    pub ids: Vec<ResourceId>,
}

impl Mutation for DeleteExport {
    type Response = ();

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let exports = stored::lock_managed(tx, std::slice::from_ref(&self.id), None).await?;
        let export = stored::single(exports, &self.etag)?;
        attachment::delete(tx, std::slice::from_ref(&export), None).await?;
        Ok(stored::affected(&export))
    }
}

impl Mutation for BatchDeleteExports {
    type Response = BatchOutcome;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let exports = stored::lock_managed(tx, &self.ids, None).await?;
        let batch_id = Some(Uuid::now_v7());
        attachment::delete(tx, &exports, batch_id).await?;
        Ok(stored::batch_affected(&exports, batch_id))
    }
}
