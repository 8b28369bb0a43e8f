//! AttachExport and BatchAttachExports: a detached export becomes active, an attached one moves.

use uuid::Uuid;

use super::{BatchOutcome, attachment, settings, stored};
use crate::app::{Affected, Mutation, MutationTx};
use crate::model::json::Object;
use crate::model::{Connection, ConnectionName, Error, Export, Invalid, InvalidRequest, ResourceId, Result};

/// Attaches a detached export, or moves an attached one.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachExport {
    /// Id of the export.
    pub id: ResourceId,
    /// The expected etag; empty to skip the check.
    pub etag: String,
    /// Name of the connection.
    pub connection: ConnectionName,
    /// Settings for the type of that connection; `None` keeps the current ones.
    pub destination_settings: Option<Object>,
}

/// Attaches or moves many exports to one connection, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAttachExports {
    /// Ids of the exports.
    pub ids: Vec<ResourceId>,
    /// Name of the connection.
    pub connection: ConnectionName,
}

impl Mutation for AttachExport {
    type Response = Export;

    const CHECKS_FIELDS: bool = true;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let (exports, connection) = lock(tx, std::slice::from_ref(&self.id), &self.connection).await?;
        let export = stored::single(exports, &self.etag)?;
        let affected = stored::affected(&export);
        attach(tx, vec![export], &connection, self.destination_settings.as_ref(), None).await?;
        Ok(affected)
    }
}

impl Mutation for BatchAttachExports {
    type Response = BatchOutcome;

    async fn apply(&self, tx: &mut MutationTx<'_>) -> Result<Affected> {
        let (exports, connection) = lock(tx, &self.ids, &self.connection).await?;
        let batch_id = Some(Uuid::now_v7());
        let affected = stored::batch_affected(&exports, batch_id);
        attach(tx, exports, &connection, None, batch_id).await?;
        Ok(affected)
    }
}

/// Locks exports that the caller manages, and the connection, which the caller must be allowed to use. A caller who
/// does not manage the exports learns nothing of the connection.
async fn lock(
    tx: &MutationTx<'_>,
    ids: &[ResourceId],
    connection: &ConnectionName,
) -> Result<(Vec<Export>, Connection)> {
    let target = match attachment::find_target(tx, connection).await {
        Err(error @ (Error::NotFound(..) | Error::NotPermitted(_))) => Err(error),
        found => Ok(found?),
    };
    let exports = stored::lock_managed(tx, ids, target.as_ref().ok().copied()).await?;
    Ok((exports, attachment::read_target(tx, connection, target?).await?))
}

async fn attach(
    tx: &mut MutationTx<'_>,
    exports: Vec<Export>,
    connection: &Connection,
    given: Option<&Object>,
    batch_id: Option<Uuid>,
) -> Result<()> {
    let is_there = |export: &Export| export.attachment().is_some_and(|attachment| attachment.uid == connection.uid);
    let (staying, moving): (Vec<_>, Vec<_>) = exports.into_iter().partition(is_there);
    for before in staying {
        // It is attached there already; only given settings change anything.
        let mut after = adapt(tx, &before, connection, given)?;
        if after != before {
            stored::save(tx, &before, &mut after, batch_id).await?;
        }
    }
    attachment::attach(tx, connection, moving, batch_id, |tx, export| adapt(tx, export, connection, given)).await
}

/// The export with settings and a schedule that fit the type of the connection.
fn adapt(tx: &MutationTx<'_>, export: &Export, connection: &Connection, given: Option<&Object>) -> Result<Export> {
    let (own, target) = (&export.connection_type, &connection.connection_type);
    let (mut adapted, mut request) = (export.clone(), InvalidRequest::default());
    adapted.connection_type = target.clone();
    if given.is_some() || own != target {
        let settings = given.unwrap_or(&export.destination_settings);
        let path = "destination_settings";
        adapted.destination_settings = settings::check(tx.app, &mut request, target, settings, path);
    }
    if adapted.destination_settings != export.destination_settings || own != target {
        request.collect(settings::check_delivery(tx.app, &mut adapted, ""))?;
    }
    if own != target
        && let Err(Error::Invalid(_, violations)) = request.clone().into_result()
        && (given.is_none() || violations.iter().all(|found| found.field.starts_with("payload.")))
    {
        // What is stored does not fit the new type; otherwise the settings of the request are invalid.
        return Err(settings::type_mismatch(export, target, violations));
    }
    request.collect(settings::check_size(tx, &adapted, Some(export), "destination_settings"))?;
    if settings::shortest_interval(tx.app, target) > settings::shortest_interval(tx.app, own) {
        match settings::check_schedule(tx, &adapted, adapted.schedule.as_ref(), "schedule") {
            // A schedule that has ended may move; one that fires too often for the new type may not.
            Err(Error::Invalid(Invalid::ScheduleNeverFires, _)) => {}
            checked => {
                request.collect(checked)?;
            }
        }
    }
    request.into_result()?;
    Ok(adapted)
}
