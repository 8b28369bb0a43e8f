//! The only code that attaches exports to connections and releases them.
//!
//! The connection is locked, then the exports. Each attachment and each release takes the next revision of the
//! connection.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{audit, stored};
use crate::app::MutationTx;
use crate::model::audit::{AuditDiff, AuditResource};
use crate::model::{
    Attachment, AttachmentState, Connection, ConnectionName, ConnectionUid, Detachment, Error, Export, ExportName,
    ReleaseCause, ResourceKind, Result, Role,
};
use crate::store;
use crate::store::attachments::{self, ReleasedExport};

/// Finds the connection to attach an export to, if the caller may use it. A contributor gets one error
/// for a connection that does not exist and for one that it may not use.
pub async fn find_target(tx: &MutationTx<'_>, name: &ConnectionName) -> Result<ConnectionUid> {
    let found = store::connections::find_usable_uid(tx.db, &tx.scope, &tx.context.actor, &name.id).await?;
    found.ok_or_else(|| not_usable(tx, name))
}

/// Locks the connection that a new export is to be attached to, and reserves its `attachment_revision` for the export.
pub async fn reserve_target(tx: &MutationTx<'_>, name: &ConnectionName) -> Result<Connection> {
    let not_usable = || not_usable(tx, name);
    let locked = store::connections::lock_usable(tx.db, &tx.scope, &tx.context.actor, &name.id).await?;
    let uid = locked.ok_or_else(not_usable)?;
    attachments::reserve_usable(tx.db, &tx.scope, &tx.context.actor, uid).await?.ok_or_else(not_usable)
}

/// Reads a target after its lock: it may have been deleted or unshared before.
pub async fn read_target(tx: &MutationTx<'_>, name: &ConnectionName, uid: ConnectionUid) -> Result<Connection> {
    let found = store::connections::get_usable(tx.db, &tx.scope, &tx.context.actor, uid).await?;
    found.ok_or_else(|| not_usable(tx, name))
}

/// The state of an export that is attached to a connection with a reserved revision.
pub fn attached_to(connection: &Connection, revision: i64) -> AttachmentState {
    AttachmentState::Attached(Attachment {
        uid: connection.uid,
        name: connection.name.clone(),
        display_name: connection.display_name.clone(),
        availability: connection.availability,
        revision,
    })
}

/// Inserts a copy of an export. An attached one takes the next revision of its connection, which is locked.
pub async fn insert_copy(tx: &mut MutationTx<'_>, mut export: Export) -> Result<()> {
    if let AttachmentState::Attached(attachment) = &mut export.attachment_state {
        attachment.revision = attachments::reserve_revisions(tx.db, &tx.scope, attachment.uid, 1).await? + 1;
    }
    insert(tx, &export).await
}

/// Inserts a new export, whose revision is reserved if it is attached.
pub async fn insert(tx: &mut MutationTx<'_>, export: &Export) -> Result<()> {
    stored::check_file_name(tx, export).await?;
    store::exports::insert(tx.db, export).await?;
    tx.audit(audit::resource(export), audit::diff(None, Some(export)), None, "");
    Ok(())
}

/// Attaches detached exports to a connection, and moves attached ones there. `adapt` returns each export with settings
/// and a schedule for the new connection.
pub async fn attach(
    tx: &mut MutationTx<'_>,
    connection: &Connection,
    exports: Vec<Export>,
    batch_id: Option<Uuid>,
    mut adapt: impl FnMut(&MutationTx<'_>, &Export) -> Result<Export> + Send,
) -> Result<()> {
    release(tx, &exports, ReleaseCause::Moved).await?;
    if exports.is_empty() {
        return Ok(());
    }
    let count = exports.len() as u64;
    let last = attachments::reserve_revisions(tx.db, &tx.scope, connection.uid, count).await?;
    for (before, revision) in exports.into_iter().zip(last + 1..) {
        let mut after = adapt(tx, &before)?;
        after.attachment_state = attached_to(connection, revision);
        after.next_due_time = after.first_due_time(tx.app.schedules(), tx.now);
        stored::check_file_name(tx, &after).await?;
        stored::touch(tx, &mut after);
        attachments::attach(tx.db, &after).await?;
        tx.audit(audit::resource(&after), audit::diff(Some(&before), Some(&after)), batch_id, "");
    }
    Ok(())
}

/// Deletes exports.
pub async fn delete(tx: &mut MutationTx<'_>, exports: &[Export], batch_id: Option<Uuid>) -> Result<()> {
    release(tx, exports, ReleaseCause::Removed).await?;
    let uids = exports.iter().map(|export| export.uid).collect();
    store::exports::delete(tx.db, &tx.scope, &uids).await?;
    for export in exports {
        tx.audit(audit::resource(export), audit::diff(Some(export), None), batch_id, "");
    }
    Ok(())
}

/// Detaches the attached ones of these exports, and returns their number. Their configuration is kept.
pub async fn detach(tx: &mut MutationTx<'_>, exports: &[Export], batch_id: Option<Uuid>, reason: &str) -> Result<u64> {
    let mut count = 0;
    for group in by_connection(exports).into_values() {
        let Some(attachment) = group.first().and_then(|export| export.attachment()) else { continue };
        let released: Vec<_> = group.iter().map(|export| released(export)).collect();
        let connection = (attachment.uid, &attachment.name, attachment.display_name.as_str());
        detach_from(tx, connection, &released, batch_id, reason).await?;
        count += released.len() as u64;
    }
    Ok(count)
}

/// Detaches locked exports of one locked connection, and cancels their runs.
pub async fn detach_from(
    tx: &mut MutationTx<'_>,
    (connection, connection_name, connection_display_name): (ConnectionUid, &ConnectionName, &str),
    exports: &[ReleasedExport],
    batch_id: Option<Uuid>,
    reason: &str,
) -> Result<()> {
    if exports.is_empty() {
        return Ok(());
    }
    let detachment = Detachment {
        connection,
        connection_name: connection_name.clone(),
        connection_display_name: connection_display_name.to_owned(),
        batch_id,
        principal: tx.context.actor.principal(),
        time: tx.now,
        reason: reason.to_owned(),
    };
    attachments::release(tx.db, &tx.scope, connection, exports, ReleaseCause::Detached, tx.now).await?;
    let uids = exports.iter().map(|export| export.uid).collect();
    store::runs::changes::cancel_of_exports(tx.db, &tx.scope, &uids, tx.now).await?;
    attachments::detach(tx.db, &tx.scope, &uids, &detachment).await?;
    for export in exports {
        let name = ExportName { organization: tx.scope.organization.clone(), id: export.id.clone() }.to_string();
        let resource = AuditResource { uid: export.uid.0, name, display_name: export.display_name.clone() };
        let diff = AuditDiff::new().field("connection", connection_name.to_string(), ());
        tx.audit(resource, diff, batch_id, reason);
    }
    Ok(())
}

/// Releases the attached ones of these exports from their connections, and cancels their runs.
async fn release(tx: &MutationTx<'_>, exports: &[Export], cause: ReleaseCause) -> Result<()> {
    for (connection, group) in by_connection(exports) {
        let group: Vec<_> = group.into_iter().map(released).collect();
        attachments::release(tx.db, &tx.scope, connection, &group, cause, tx.now).await?;
        let uids = group.iter().map(|export| export.uid).collect();
        store::runs::changes::cancel_of_exports(tx.db, &tx.scope, &uids, tx.now).await?;
    }
    Ok(())
}

/// The attached ones of these exports by their connections, in ascending order of uid.
fn by_connection(exports: &[Export]) -> BTreeMap<ConnectionUid, Vec<&Export>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for export in exports {
        if let Some(attachment) = export.attachment() {
            groups.entry(attachment.uid).or_default().push(export);
        }
    }
    groups
}

fn released(export: &Export) -> ReleasedExport {
    ReleasedExport { uid: export.uid, id: export.name.id.clone(), display_name: export.display_name.clone() }
}

fn not_usable(tx: &MutationTx<'_>, name: &ConnectionName) -> Error {
    if tx.context.actor.has(Role::Admin) {
        Error::NotFound(ResourceKind::Connection, name.to_string())
    } else {
        Error::not_permitted(name)
    }
}
