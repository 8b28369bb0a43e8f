//! The connection that an export is made on, attached to, or moved to.

use crate::app::change::Change;
use crate::model::{Attachment, Connection, ConnectionName, ConnectionUid, Error, ResourceKind, Result, Role};
use crate::store;

/// The connection of this name, if the caller may use it: the one to be locked. Absent and not usable are one answer
/// for contributors.
pub(super) async fn find(change: &Change<'_>, name: &ConnectionName) -> Result<ConnectionUid> {
    let found = store::usable::find_uid(change.db, change.scope, &change.call.caller, &name.id).await?;
    found.ok_or_else(|| refused(change, name))
}

/// The same connection once it is locked: it may have been removed or unshared since.
pub(super) async fn locked(change: &Change<'_>, name: &ConnectionName, uid: ConnectionUid) -> Result<Connection> {
    let found = store::usable::get(change.db, change.scope, &change.call.caller, uid).await?;
    found.ok_or_else(|| refused(change, name))
}

/// What an export attached to a connection knows of it.
pub(super) fn attachment(connection: &Connection, revision: i64) -> Attachment {
    Attachment {
        uid: connection.uid,
        name: connection.name.clone(),
        display_name: connection.display_name.clone(),
        availability: connection.availability,
        revision,
    }
}

fn refused(change: &Change<'_>, name: &ConnectionName) -> Error {
    if change.call.caller.has(Role::Admin) {
        Error::NotFound(ResourceKind::Connection, name.to_string())
    } else {
        Error::not_permitted(name)
    }
}
