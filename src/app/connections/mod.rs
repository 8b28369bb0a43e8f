//! Connections: where data may go. Administrators' business, but for finding those that one may use.

use super::App;
use super::change::{Change, Effect, Subject};
use crate::catalog::ConnectionType;
use crate::model::page::{Page, PageRequest};
use crate::model::{
    Abort, Call, Connection, ConnectionFilter, ConnectionName, ConnectionUid, Error, ResourceKind, ResourceId, Result, Role,
    ConnectionTypeId, UsableConnection,
};
use crate::store;
use crate::store::locks::{self, LockMode};

mod changes;
mod create;
mod delete;
mod lifecycle;
mod share;
mod update;

pub use create::{ConnectionDraft, CreateConnection};
pub use share::{ShareChange, Unshared};
pub use update::{ConnectionUpdate, UpdateConnection};

impl App {
    /// Gets a connection: everything but its secret.
    pub async fn get_connection(&self, call: &Call, name: &ConnectionName) -> Result<Connection> {
        let scope = self.read_scope(call, Role::Admin)?;
        let found = store::connections::find(&self.0.store.reader().await?, &scope, &name.id).await?;
        found.ok_or_else(|| Error::NotFound(ResourceKind::Connection, name.to_string()))
    }

    /// Lists connections.
    pub async fn list_connections(
        &self,
        call: &Call,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>> {
        let scope = self.read_scope(call, Role::Admin)?;
        store::connections::list(&self.0.store.reader().await?, &scope, filter, page).await
    }

    /// Finds the connections that the caller may use for exports.
    pub async fn search_usable_connections(
        &self,
        call: &Call,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<UsableConnection>> {
        let scope = self.read_scope(call, Role::Contributor)?;
        store::usable::search(&self.0.store.reader().await?, &scope, &call.caller, filter, page).await
    }
}

/// Locks a connection and reads it as it is now; refuses if it is not there, or not as the caller last saw it.
async fn lock(change: &Change<'_>, id: &ResourceId, mode: LockMode, etag: &str) -> Result<Connection> {
    let name = ConnectionName { organization: change.scope.organization.clone(), id: id.clone() };
    let absent = || Error::NotFound(ResourceKind::Connection, name.to_string());
    let uid = store::connections::find_uid(change.db, change.scope, id).await?.ok_or_else(absent)?;
    locks::connections(change.db, change.scope, &[uid].into(), mode).await?;
    let connection = store::connections::get(change.db, change.scope, uid).await?.ok_or_else(absent)?;
    if !etag.is_empty() && etag != connection.etag() {
        return Err(Abort::EtagMismatch { name: name.to_string() }.into());
    }
    Ok(connection)
}

/// The connection that a change made or changed, as it is now.
async fn answer(change: &Change<'_>, effect: &Effect) -> Result<Connection> {
    let (uid, name) = effect.single()?;
    let found = store::connections::get(change.db, change.scope, ConnectionUid(*uid)).await?;
    found.ok_or_else(|| Error::NotFound(ResourceKind::Connection, name.clone()))
}

/// Marks a connection as changed by the caller of this change.
fn touch(change: &Change<'_>, connection: &mut Connection) {
    connection.revision += 1;
    connection.updater.clone_from(&change.call.caller.principal);
    connection.update_time = change.now;
}

fn subject(connection: &Connection) -> Subject<'_> {
    Subject { uid: connection.uid.0, name: connection.name.to_string(), display_name: &connection.display_name }
}

fn effect_of(connection: &Connection) -> Effect {
    Effect::one(connection.uid.0, &connection.name)
}

/// The type that a request names, or that a stored connection has.
fn known_type<'a>(app: &'a App, field: &str, id: &ConnectionTypeId) -> Result<&'a ConnectionType> {
    let unknown = || format!("there is no connection type {}: see ListConnectionTypes", id.name());
    app.connection_type(id).ok_or_else(|| Error::invalid(field, unknown()))
}
