//! Rows of `exports` joined with their connection, and their conversion.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sea_orm::QueryResult;
use sea_orm::sea_query::{Expr, SimpleExpr};
use uuid::Uuid;

use super::Scope;
use super::entities::export::{Column, Entity};
use super::query::columns::Columns;
use super::query::expressions::column_list;
use crate::model::{
    Attachment, AttachmentState, Availability, CallerAccess, ConnectionName, ConnectionTypeId, ConnectionUid,
    Detachment, Error, Export, ExportName, ExportUid, Member, ResourceId, Result, SchedulePause,
};

/// The columns of [`read`], after the id, the display name and the availability of the connection, and whether the actor
/// manages the export.
const COLUMNS: [Column; 28] = [
    Column::ConnectionUid,
    Column::AttachedRevision,
    Column::DetachedConnectionUid,
    Column::DetachedConnectionId,
    Column::DetachedConnectionDisplayName,
    Column::DetachedBatchId,
    Column::DetachedPrincipal,
    Column::DetachedTime,
    Column::DetachedReason,
    Column::SchedulePauseTime,
    Column::ConsecutiveFailures,
    Column::Creator,
    Column::Owner,
    Column::Id,
    Column::Uid,
    Column::DisplayName,
    Column::Description,
    Column::ConnectionType,
    Column::Payload,
    Column::Schedule,
    Column::DestinationSettings,
    Column::FileName,
    Column::NextDueTime,
    Column::Labels,
    Column::CreateTime,
    Column::Updater,
    Column::UpdateTime,
    Column::Revision,
];

/// The columns of the table, which follow those of the connection.
pub fn columns() -> SimpleExpr {
    static LIST: LazyLock<String> = LazyLock::new(|| column_list::<Entity>(COLUMNS));
    Expr::cust(LIST.as_str())
}

/// Reads an export without its newest run.
pub fn read(row: &QueryResult, scope: &Scope<'_>) -> Result<Export> {
    read_next(&mut Columns::of(row), scope)
}

/// Reads an export without its newest run from the next columns.
pub fn read_next(columns: &mut Columns<'_>, scope: &Scope<'_>) -> Result<Export> {
    let connection = (columns.next()?, columns.next()?, columns.next()?);
    let managed: bool = columns.next()?;
    let attachment_state = attachment_state(columns, connection, scope)?;
    let (pause_time, failures): (Option<DateTime<Utc>>, i32) = (columns.next()?, columns.next()?);
    let schedule_pause =
        pause_time.map(|time| SchedulePause { time, failures: u32::try_from(failures).unwrap_or_default() });
    let (creator, owner): (String, Option<String>) = (columns.next()?, columns.next()?);
    Ok(Export {
        name: ExportName { organization: scope.organization.clone(), id: ResourceId::stored(columns.next()?) },
        attachment_state,
        schedule_pause,
        caller_access: if managed { CallerAccess::Manage } else { CallerAccess::View },
        owner: owner.map_or_else(|| Member::user(&creator), |owner| Member::stored(&owner)),
        creator,
        uid: ExportUid(columns.next()?),
        display_name: columns.next()?,
        description: columns.next()?,
        connection_type: ConnectionTypeId::new(columns.next::<String>()?),
        payload: columns.json()?,
        schedule: columns.optional_json()?,
        destination_settings: columns.json()?,
        file_name: columns.next()?,
        next_due_time: columns.next()?,
        labels: columns.json()?,
        create_time: columns.next()?,
        updater: columns.next()?,
        update_time: columns.next()?,
        revision: columns.next()?,
        last_run: None,
    })
}

fn attachment_state(
    columns: &mut Columns<'_>,
    (id, display_name, availability): (Option<String>, Option<String>, i32),
    scope: &Scope<'_>,
) -> Result<AttachmentState> {
    let name = |id| ConnectionName { organization: scope.organization.clone(), id: ResourceId::stored(id) };
    let (uid, revision): (Option<Uuid>, Option<i64>) = (columns.next()?, columns.next()?);
    let detached: (Option<Uuid>, Option<String>, Option<String>) = (columns.next()?, columns.next()?, columns.next()?);
    let batch_id = columns.next()?;
    let (principal, time): (Option<String>, Option<DateTime<Utc>>) = (columns.next()?, columns.next()?);
    let reason: Option<String> = columns.next()?;
    if let (Some(uid), Some(revision), Some(id), Some(display_name)) = (uid, revision, id, display_name) {
        let availability =
            Availability::from_code(availability).ok_or_else(|| Error::internal("unknown availability"))?;
        let (uid, name) = (ConnectionUid(uid), name(id));
        return Ok(AttachmentState::Attached(Attachment { uid, name, display_name, availability, revision }));
    }
    let (Some(uid), Some(id), Some(connection_display_name)) = detached else {
        return Err(Error::internal("an export is neither attached nor detached"));
    };
    let missing = || Error::internal("a detached export without its detachment");
    Ok(AttachmentState::Detached(Detachment {
        connection: ConnectionUid(uid),
        connection_name: name(id),
        connection_display_name,
        batch_id,
        principal: principal.ok_or_else(missing)?,
        time: time.ok_or_else(missing)?,
        reason: reason.unwrap_or_default(),
    }))
}
