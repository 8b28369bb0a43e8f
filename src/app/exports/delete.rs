//! DeleteExport and BatchDeleteExports.

use uuid::Uuid;

use super::{BatchOutcome, answer_batch, batch_effect, by_connection, changes, released, lock_managed, single, subject};
use crate::app::App;
use crate::app::change::{Change, Effect};
use crate::model::{Call, Export, Mutation, ReleaseCause, ResourceId, Result};
use crate::store;

struct Delete {
    id: ResourceId,
    etag: String,
}

impl App {
    /// Removes an export.
    pub async fn delete_export(&self, call: &Call, mutation: Mutation, id: ResourceId, etag: String) -> Result<()> {
        self.change(
            call,
            mutation,
            Delete { id, etag },
            |change, input| {
                Box::pin(async {
                    let export = single(lock_managed(change, &[&input.id], None).await?, &input.etag)?;
                    delete(change, &[export], None).await
                })
            },
            |_, _| Box::pin(async { Ok(()) }),
        )
        .await
    }

    /// Removes many exports, all or none.
    pub async fn batch_delete_exports(
        &self,
        call: &Call,
        mutation: Mutation,
        ids: Vec<ResourceId>,
    ) -> Result<BatchOutcome> {
        self.change(
            call,
            mutation,
            ids,
            |change, ids| {
                Box::pin(async {
                    let exports = lock_managed(change, &ids.iter().collect::<Vec<_>>(), None).await?;
                    delete(change, &exports, Some(Uuid::now_v7())).await
                })
            },
            |change, effect| Box::pin(answer_batch(change, effect)),
        )
        .await
    }
}

async fn delete(change: &Change<'_>, exports: &[Export], batch_id: Option<Uuid>) -> Result<Effect> {
    for (connection, group) in by_connection(exports) {
        let group: Vec<_> = group.into_iter().map(released).collect();
        let (db, scope) = (change.db, change.scope);
        store::attachments::release(db, scope, connection, &group, ReleaseCause::Removed, change.now).await?;
    }
    let uids = exports.iter().map(|export| export.uid).collect();
    store::exports::delete(change.db, change.scope, &uids).await?;
    for export in exports {
        change.audit(&subject(export), changes::between(Some(export), None), batch_id, "");
    }
    Ok(batch_effect(exports, batch_id))
}
