//! What contributors learn of the connections that they may use.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use super::connections::{self, KEYS, name_contains, select};
use super::entities::connection;
use super::expressions::usable;
use super::{Scope, one, paging};
use crate::model::page::{Page, PageRequest};
use crate::model::{
    Caller, Connection, ConnectionFilter, ConnectionName, ConnectionUid, ResourceId, Result, ConnectionTypeId, UsableConnection,
};

/// The uid of the connection of this id, if the caller may use it. Its row is not locked.
pub async fn find_uid(
    db: &impl ConnectionTrait,
    scope: &Scope,
    caller: &Caller,
    id: &ResourceId,
) -> Result<Option<ConnectionUid>> {
    let query = connection::Entity::find()
        .select_only()
        .column(connection::Column::Uid)
        .filter(connection::Column::Organization.eq(scope.organization.as_str()))
        .filter(connection::Column::Id.eq(id.as_str()))
        .filter(usable(caller));
    Ok(one::value(db, query).await?.map(ConnectionUid))
}

/// A connection, if the caller may use it; asked once its row is locked.
pub async fn get(
    db: &impl ConnectionTrait,
    scope: &Scope,
    caller: &Caller,
    uid: ConnectionUid,
) -> Result<Option<Connection>> {
    let query = select(db, scope).filter(connection::Column::Uid.eq(uid.0)).filter(usable(caller));
    let found: Option<connections::Row> = one::row(db, query).await?;
    found.map(|row| row.into_model(scope)).transpose()
}

/// A page of the connections that the caller may use. State is no part of it: being usable is about the right alone.
pub async fn search(
    db: &impl ConnectionTrait,
    scope: &Scope,
    caller: &Caller,
    filter: &ConnectionFilter,
    page: &PageRequest,
) -> Result<Page<UsableConnection>> {
    use connection::Column::{ConnectionType, DisplayName, Id, Organization, Uid, UpdateTime};
    let mut query = connection::Entity::find()
        .select_only()
        .columns([Uid, Id, DisplayName, ConnectionType, UpdateTime])
        .filter(Organization.eq(scope.organization.as_str()))
        .filter(usable(caller));
    if let Some(connection_type) = &filter.connection_type {
        query = query.filter(ConnectionType.eq(connection_type.as_str()));
    }
    if let Some(search) = &filter.search {
        query = query.filter(name_contains(search));
    }
    let position = |row: &Row| paging::position(page.order, row.uid, &row.display_name, row.update_time);
    let rows = paging::page(db, &query, &KEYS, page, Ok, position, |row: &Row| 128 + row.display_name.len()).await?;
    let usable = |row: Row| UsableConnection {
        name: ConnectionName { organization: scope.organization.clone(), id: ResourceId::stored(row.id) },
        display_name: row.display_name,
        connection_type: ConnectionTypeId::new(row.connection_type),
    };
    Ok(Page { items: rows.items.into_iter().map(usable).collect(), next: rows.next })
}

#[derive(FromQueryResult)]
struct Row {
    uid: Uuid,
    id: String,
    display_name: String,
    connection_type: String,
    update_time: chrono::DateTime<chrono::Utc>,
}
