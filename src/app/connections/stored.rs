//! Stored connections within a mutation: locked, saved, and read back for the response.

use super::audit;
use crate::app::{Affected, App, MutationTx, ReadBack};
use crate::catalog::ConnectionType;
use crate::model::{
    Abort, Connection, ConnectionName, ConnectionTypeId, ConnectionUid, Error, ResourceId, ResourceKind, Result,
};
use crate::store;
use crate::store::locks::{self, LockMode};

/// Locks a connection and reads its current state. Fails if it does not exist, or if `etag` is set and stale.
pub async fn lock(tx: &MutationTx<'_>, id: &ResourceId, mode: LockMode, etag: &str) -> Result<Connection> {
    let name = ConnectionName { organization: tx.scope.organization.clone(), id: id.clone() };
    let not_found = || Error::NotFound(ResourceKind::Connection, name.to_string());
    let uid = locks::connection_by_id(tx.db, &tx.scope, id, mode, None).await?.ok_or_else(not_found)?;
    let connection = store::connections::get(tx.db, &tx.scope, uid).await?.ok_or_else(not_found)?;
    if !etag.is_empty() && etag != connection.etag() {
        return Err(Abort::EtagMismatch { name: name.to_string() }.into());
    }
    Ok(connection)
}

/// Gives a connection a new revision, changed by the actor of this transaction.
pub fn touch(tx: &MutationTx<'_>, connection: &mut Connection) {
    connection.revision += 1;
    connection.updater = tx.context.actor.principal();
    connection.update_time = tx.now;
}

/// Saves a changed connection with a new revision, and audits the change.
pub async fn save(tx: &mut MutationTx<'_>, before: &Connection, after: &mut Connection, reason: &str) -> Result<()> {
    touch(tx, after);
    store::connections::update(tx.db, after).await?;
    tx.audit(audit::resource(after), audit::diff(Some(before), Some(after)), None, reason);
    Ok(())
}

/// The type that a request names, or that a stored connection has.
pub fn known_type<'a>(app: &'a App, field: &str, id: &ConnectionTypeId) -> Result<&'a ConnectionType> {
    let unknown = || format!("{} does not exist; see ListConnectionTypes", id.name());
    app.connection_type(id).ok_or_else(|| Error::invalid(field, unknown()))
}

/// A change of one connection.
pub fn affected(connection: &Connection) -> Affected {
    Affected::one(connection.uid.0, &connection.name)
}

impl ReadBack for Connection {
    async fn read_back(tx: &mut MutationTx<'_>, affected: &Affected) -> Result<Self> {
        if let Some(connection) = tx.connection.take() {
            return Ok(connection);
        }
        let (uid, name) = affected.single()?;
        let found = store::connections::get(tx.db, &tx.scope, ConnectionUid(*uid)).await?;
        found.ok_or_else(|| Error::NotFound(ResourceKind::Connection, name.clone()))
    }
}
