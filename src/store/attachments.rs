//! Attachment of exports to connections, numbered in commit order.
//!
//! The caller holds the lock on the connection's row. Each attachment and each release takes the next revision, so a
//! connection's attachments and releases form one sequence without gaps.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, UpdateStatement};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Set, Unchanged,
};
use serde_json::Value;
use uuid::Uuid;

use super::entities::{attachment_release, connection, export};
use super::query::expressions::{limited_to_shared, usable};
use super::query::lookup;
use super::{Scope, connection_rows};
use crate::model::{
    Actor, AttachmentState, Blocker, Connection, ConnectionUid, Detachment, Error, Export, ExportName, ExportUid,
    ReleaseCause, ResourceId, Result,
};

/// Rows per statement.
const MAX_ROWS_PER_STATEMENT: usize = 1_000;

/// An export that is released from its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasedExport {
    /// Uid of the export.
    pub uid: ExportUid,
    /// Id of the export, for watchers of the stream.
    pub id: ResourceId,
    /// Display name of the export.
    pub display_name: String,
}

impl ReleaseCause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Detached => "DETACHED",
            Self::Moved => "MOVED",
            Self::Removed => "REMOVED",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Detached, Self::Moved, Self::Removed].into_iter().find(|cause| cause.as_str() == text)
    }
}

/// Reserves `count` revisions of a connection for attachments, and adds them to its number of attached exports. Returns
/// the revision before the first.
pub async fn reserve_revisions(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
    count: u64,
) -> Result<i64> {
    let count = i64::try_from(count).map_err(Error::internal)?;
    let statement = reserve(count)
        .and_where(connection::Column::Organization.eq(scope.organization.as_str()))
        .and_where(connection::Column::Uid.eq(connection.0))
        .returning_col(connection::Column::AttachmentRevision)
        .take();
    let row = db.query_one(&statement).await?.ok_or_else(|| Error::internal("a locked connection does not exist"))?;
    Ok(row.try_get_by_index::<i64>(0)? - count)
}

/// Reserves a revision for one attachment, if the actor may use the connection, which is locked. Returns the connection after
/// that; its `attachment_revision` is the reserved one.
pub async fn reserve_usable(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    connection: ConnectionUid,
) -> Result<Option<Connection>> {
    let statement = || {
        reserve(1)
            .and_where(connection::Column::Organization.eq(scope.organization.as_str()))
            .and_where(connection::Column::Uid.eq(connection.0))
            .and_where(usable(actor))
            .returning(connection_rows::returning(db, scope))
            .take()
    };
    let texts = scope.read_context.texts().filter(|_| limited_to_shared(actor).is_none());
    let text = texts.map(|texts| {
        let (one, organization) = (1_i64, scope.organization.as_str());
        let values = vec![one.into(), one.into(), one.into(), organization.into(), connection.0.into(), true.into()];
        (&texts.reserve_connection, values)
    });
    lookup::read_one(db, text, statement, |row| connection_rows::read(row, scope)).await
}

/// Adds to the number of attached exports, and gives each a revision.
fn reserve(count: i64) -> UpdateStatement {
    use connection::Column::{AttachedExportCount, AttachmentRevision, LastAttachedRevision};
    Query::update()
        .table(connection::Entity)
        .value(AttachedExportCount, Expr::col(AttachedExportCount).add(count))
        .value(AttachmentRevision, Expr::col(AttachmentRevision).add(count))
        .value(LastAttachedRevision, Expr::col(AttachmentRevision).add(count))
        .take()
}

/// Attaches a stored export as given by `export.attachment_state`, with its settings and due time.
pub async fn attach(db: &impl ConnectionTrait, export: &Export) -> Result<()> {
    let AttachmentState::Attached(attachment) = &export.attachment_state else {
        return Err(Error::internal("only an attached export can be attached"));
    };
    let row = export::ActiveModel {
        organization: Unchanged(export.name.organization.to_string()),
        uid: Unchanged(export.uid.0),
        connection_type: Set(export.connection_type.as_str().to_owned()),
        connection_uid: Set(Some(attachment.uid.0)),
        attached_revision: Set(Some(attachment.revision)),
        detached_connection_uid: Set(None),
        detached_connection_id: Set(None),
        detached_connection_display_name: Set(None),
        detached_batch_id: Set(None),
        detached_principal: Set(None),
        detached_time: Set(None),
        detached_reason: Set(None),
        destination_settings: Set(Value::Object(export.destination_settings.clone())),
        file_name: Set(export.file_name.clone()),
        next_due_time: Set(export.next_due_time),
        updater: Set(export.updater.clone()),
        update_time: Set(export.update_time),
        revision: Set(export.revision),
        ..Default::default()
    };
    row.update_without_returning(db).await?;
    Ok(())
}

/// Records the releases of exports from a connection in the given order, each with a revision.
pub async fn release(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
    released: &[ReleasedExport],
    cause: ReleaseCause,
    time: DateTime<Utc>,
) -> Result<()> {
    use connection::Column::{AttachedExportCount, AttachmentRevision};
    let count = i64::try_from(released.len()).map_err(Error::internal)?;
    let updated = connection::Entity::update_many()
        .col_expr(AttachedExportCount, Expr::col(AttachedExportCount).sub(count))
        .col_expr(AttachmentRevision, Expr::col(AttachmentRevision).add(count))
        .filter(connection::Column::Organization.eq(scope.organization.as_str()))
        .filter(connection::Column::Uid.eq(connection.0))
        .exec_with_returning(db)
        .await?;
    let row = updated.first().ok_or_else(|| Error::internal("a locked connection does not exist"))?;
    let first = row.attachment_revision - count + 1;
    let rows: Vec<_> = released
        .iter()
        .zip(first..)
        .map(|(released, revision)| attachment_release::ActiveModel {
            organization: Set(scope.organization.to_string()),
            connection_uid: Set(connection.0),
            revision: Set(revision),
            export_id: Set(released.id.to_string()),
            cause: Set(cause.as_str().to_owned()),
            release_time: Set(time),
        })
        .collect();
    for chunk in rows.chunks(MAX_ROWS_PER_STATEMENT) {
        attachment_release::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Detaches exports; their configuration is kept.
pub async fn detach(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uids: &BTreeSet<ExportUid>,
    detachment: &Detachment,
) -> Result<()> {
    use export::Column;
    for chunk in uids.iter().map(|uid| uid.0).collect::<Vec<_>>().chunks(MAX_ROWS_PER_STATEMENT) {
        export::Entity::update_many()
            .col_expr(Column::ConnectionUid, Expr::val(None::<Uuid>))
            .col_expr(Column::AttachedRevision, Expr::val(None::<i64>))
            .col_expr(Column::DetachedConnectionUid, Expr::val(detachment.connection.0))
            .col_expr(Column::DetachedConnectionId, Expr::val(detachment.connection_name.id.as_str()))
            .col_expr(Column::DetachedConnectionDisplayName, Expr::val(detachment.connection_display_name.as_str()))
            .col_expr(Column::DetachedBatchId, Expr::val(detachment.batch_id))
            .col_expr(Column::DetachedPrincipal, Expr::val(detachment.principal.as_str()))
            .col_expr(Column::DetachedTime, Expr::val(detachment.time))
            .col_expr(Column::DetachedReason, Expr::val(detachment.reason.as_str()))
            .col_expr(Column::Updater, Expr::val(detachment.principal.as_str()))
            .col_expr(Column::UpdateTime, Expr::val(detachment.time))
            .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
            .filter(Column::Organization.eq(scope.organization.as_str()))
            .filter(Column::Uid.is_in(chunk.iter().copied()))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// The exports attached to a connection, in order of attachment, at most `limit`.
pub async fn attached(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
    limit: u64,
) -> Result<Vec<ReleasedExport>> {
    let rows: Vec<(Uuid, String, String)> = export::Entity::find()
        .select_only()
        .columns([export::Column::Uid, export::Column::Id, export::Column::DisplayName])
        .filter(export::Column::Organization.eq(scope.organization.as_str()))
        .filter(export::Column::ConnectionUid.eq(connection.0))
        .order_by_asc(export::Column::AttachedRevision)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    let released =
        |(uid, id, display_name)| ReleasedExport { uid: ExportUid(uid), id: ResourceId::stored(id), display_name };
    Ok(rows.into_iter().map(released).collect())
}

/// The first exports that block the deletion of a connection, in order of attachment.
pub async fn first_blockers(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: &Connection,
    limit: u64,
) -> Result<Vec<Blocker>> {
    let attached = attached(db, scope, connection.uid, limit).await?;
    let blocker = |released: ReleasedExport| Blocker {
        name: ExportName { organization: scope.organization.clone(), id: released.id }.to_string(),
        display_name: released.display_name,
    };
    Ok(attached.into_iter().map(blocker).collect())
}

/// Returns the earliest time at which an export that is attached to a connection is due.
pub async fn next_due_time(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    connection: ConnectionUid,
) -> Result<Option<DateTime<Utc>>> {
    use export::Column::{ConnectionUid as Connection, NextDueTime, Organization};
    let query = export::Entity::find()
        .select_only()
        .column(NextDueTime)
        .filter(Organization.eq(scope.organization.as_str()))
        .filter(Connection.eq(connection.0))
        .filter(NextDueTime.is_not_null())
        .order_by_asc(NextDueTime)
        .limit(1);
    lookup::fetch_scalar(db, query).await
}
