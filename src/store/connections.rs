//! Connections: find, list, insert, update, delete and share.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Query, SelectStatement, SimpleExpr, UnionType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityName as _, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QueryResult, QuerySelect as _, QueryTrait as _, Set, Unchanged,
};
use serde_json::Value;
use uuid::Uuid;

use super::entities::{connection, connection_member};
use super::query::expressions::{self, availability, in_state, limited_to_shared, member_texts, usable};
use super::query::list::{Keys, List, MAX_ROWS_SORTED};
use super::query::locks::{self, LockMode};
use super::query::lookup;
use super::query::paging;
use super::query::text::{self, Text};
use super::transaction::Exists;
use super::{Reader, Scope, Transaction, connection_rows, credentials, display_names};
use crate::model::page::{Page, PageRequest};
use crate::model::{
    Actor, Caller, Connection, ConnectionFilter, ConnectionName, ConnectionTypeId, ConnectionUid, CredentialStatus,
    Error, LastTest, Member, ResourceId, ResourceKind, Result, UsableConnection,
};

/// Members per statement.
const MAX_MEMBERS_PER_STATEMENT: usize = 500;

static KEYS: Keys<connection::Entity> = Keys {
    organization: connection::Column::Organization,
    uid: connection::Column::Uid,
    display_name: connection::Column::DisplayName,
    update_time: connection::Column::UpdateTime,
    feed: None,
};

/// Finds a connection by id.
pub async fn find(db: &impl ConnectionTrait, scope: &Scope<'_>, id: &ResourceId) -> Result<Option<Connection>> {
    let query = || connection_rows::select(db, scope).and_where(connection::Column::Id.eq(id.as_str())).take();
    let values = || vec![scope.organization.as_str().into(), id.as_str().into()];
    let text = scope.read_context.texts().map(|texts| (&texts.connection_by_id, values()));
    lookup::read_one(db, text, query, |row| connection_rows::read(row, scope)).await
}

/// Finds the uid of a connection by id.
pub async fn find_uid(db: &impl ConnectionTrait, scope: &Scope<'_>, id: &ResourceId) -> Result<Option<ConnectionUid>> {
    Ok(lookup::fetch_scalar(db, connection_rows::select_uid(scope, id)).await?.map(ConnectionUid))
}

/// Finds a connection by uid.
pub async fn get(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: ConnectionUid) -> Result<Option<Connection>> {
    let query = || connection_rows::select(db, scope).and_where(connection::Column::Uid.eq(uid.0)).take();
    let values = || vec![scope.organization.as_str().into(), uid.0.into()];
    let text = scope.read_context.texts().map(|texts| (&texts.connection_by_uid, values()));
    lookup::read_one(db, text, query, |row| connection_rows::read(row, scope)).await
}

/// Lists a page of connections.
pub async fn list(
    db: &Reader<'_>,
    scope: &Scope<'_>,
    filter: &ConnectionFilter,
    page: &PageRequest,
) -> Result<Page<Connection>> {
    let mut list = List::new(|| connection_rows::select(db, scope), scope, &KEYS);
    let texts = scope.read_context.texts();
    list.first_page = texts.map(|texts| (&texts.connections, vec![scope.organization.as_str().into()]));
    list.filters.extend(filters(filter));
    if let Some(state) = filter.state {
        list.filters.push(in_state(availability(db.get_database_backend(), scope.read_context), state));
    }
    let position = |connection: &Connection| {
        paging::position(page.order, connection.uid.0, &connection.display_name, connection.update_time)
    };
    paging::page(db, list, page, |row| connection_rows::read(row, scope), position, connection_rows::size).await
}

/// Finds the uid of a connection that the caller may use. Its row is not locked.
pub async fn find_usable_uid(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    id: &ResourceId,
) -> Result<Option<ConnectionUid>> {
    let query = connection_rows::select_uid(scope, id).filter(usable(actor));
    Ok(lookup::fetch_scalar(db, query).await?.map(ConnectionUid))
}

/// Finds a connection that the caller may use; called after its row is locked.
pub async fn get_usable(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    uid: ConnectionUid,
) -> Result<Option<Connection>> {
    let of_actor = connection::Column::Uid.eq(uid.0).and(usable(actor));
    let query = || connection_rows::select(db, scope).and_where(of_actor.clone()).take();
    lookup::read_one(db, None, query, |row| connection_rows::read(row, scope)).await
}

/// Locks a connection if the caller may use it, which may have changed while the statement waited.
pub async fn lock_usable(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    actor: &Actor,
    id: &ResourceId,
) -> Result<Option<ConnectionUid>> {
    let condition = limited_to_shared(actor).map(|_| usable(actor));
    locks::connection_by_id(db, scope, id, LockMode::Update, condition).await
}

/// Lists a page of the connections that the caller may use, in any state: usable refers to permission, not to the
/// state.
pub async fn search_usable(
    db: &Reader<'_>,
    scope: &Scope<'_>,
    actor: &Actor,
    filter: &ConnectionFilter,
    page: &PageRequest,
) -> Result<Page<UsableConnection>> {
    use connection::Column::{ConnectionType, DisplayName, Id, Organization, Uid, UpdateTime};
    let select = connection::Entity::find()
        .select_only()
        .columns([Uid, Id, DisplayName, ConnectionType, UpdateTime])
        .filter(Organization.eq(scope.organization.as_str()));
    let mut list = List::new(|| select.clone().into_query(), scope, &KEYS);
    if let Some(caller) = limited_to_shared(actor) {
        list.filters.push(usable(actor));
        list.matching_uids = Some(shared_uids(scope, caller));
    }
    list.filters.extend(filters(filter));
    let position = |row: &UsableRow| paging::position(page.order, row.uid, &row.display_name, row.update_time);
    let read = |row: &QueryResult| Ok(UsableRow::from_query_result(row, "")?);
    let rows = paging::page(db, list, page, read, position, |row| 128 + row.display_name.len()).await?;
    let names = rows.items.iter().map(|row| row.display_name.as_str());
    let ambiguous = display_names::ambiguous(db, scope, actor, names).await?;
    let usable = |row: UsableRow| UsableConnection {
        name: ConnectionName { organization: scope.organization.clone(), id: ResourceId::stored(row.id) },
        display_name_ambiguous: ambiguous.contains(&row.display_name),
        display_name: row.display_name,
        connection_type: ConnectionTypeId::new(row.connection_type),
    };
    Ok(Page { items: rows.items.into_iter().map(usable).collect(), next: rows.next })
}

/// The filters that administrators and contributors have.
fn filters(filter: &ConnectionFilter) -> impl Iterator<Item = SimpleExpr> {
    use connection::Column::{ConnectionType, DisplayNameSearch};
    let connection_type = filter.connection_type.as_ref().map(|id| ConnectionType.eq(id.as_str()));
    let name = Expr::col((connection::Entity, DisplayNameSearch));
    let search = filter.search.as_ref().map(|search| expressions::contains(name, search));
    connection_type.into_iter().chain(search)
}

/// Selects the uids of the connections that are shared with all contributors, and of those shared with this one; a uid may
/// occur twice. No more than the list can use are read of each.
fn shared_uids(scope: &Scope<'_>, caller: &Caller) -> SelectStatement {
    use connection_member::Column::{ConnectionUid, Member, Organization};
    let limited = |uids: SelectStatement, column: &'static str| {
        let uids = uids.clone().limit(2 * MAX_ROWS_SORTED).take();
        Query::select().column(Alias::new(column)).from_subquery(uids, Alias::new("shared")).take()
    };
    let with_all = connection::Entity::find()
        .select_only()
        .column(connection::Column::Uid)
        .filter(connection::Column::Organization.eq(scope.organization.as_str()))
        .filter(connection::Column::SharedWithAll.into_expr());
    let with_caller = connection_member::Entity::find()
        .select_only()
        .column(ConnectionUid)
        .filter(Organization.eq(scope.organization.as_str()))
        .filter(Member.is_in(member_texts(caller)));
    limited(with_all.into_query(), "uid")
        .union(UnionType::All, limited(with_caller.into_query(), "connection_uid"))
        .take()
}

/// Inserts a connection with its members; the transaction fails with `ALREADY_EXISTS` if the id is in use.
pub async fn insert(db: &Transaction, connection: &Connection) -> Result<()> {
    static INSERT: Text = Text::new();
    let row = connection::Model {
        organization: connection.name.organization.to_string(),
        uid: connection.uid.0,
        id: connection.name.id.to_string(),
        display_name: connection.display_name.clone(),
        display_name_search: connection.display_name.to_lowercase(),
        description: connection.description.clone(),
        connection_type: connection.connection_type.as_str().to_owned(),
        schema_version: i32::try_from(connection.schema_version).map_err(Error::internal)?,
        properties: Value::Object(connection.properties.clone()),
        needs_credential: connection.needs_credential,
        credential_auth_method: connection.credential.auth_method.clone(),
        credential_set_fields: serde_json::to_value(&connection.credential.set_fields).map_err(Error::internal)?,
        credential_revision: connection.credential.revision,
        credential_set_time: connection.credential.set_time,
        credential_expire_time: connection.credential.expire_time,
        shared_with_all: connection.sharing.all_contributors,
        suspended: false,
        suspend_reason: String::new(),
        attached_export_count: 0,
        attachment_revision: 0,
        last_attached_revision: 0,
        labels: serde_json::to_value(&connection.labels).map_err(Error::internal)?,
        creator: connection.creator.clone(),
        create_time: connection.create_time,
        updater: connection.updater.clone(),
        update_time: connection.update_time,
        revision: connection.revision,
        last_test: None,
    };
    let error = Error::AlreadyExists(ResourceKind::Connection, connection.name.to_string());
    let exists = Exists { table: connection::Entity.table_name(), error };
    db.insert(text::insert(db.get_database_backend(), &INSERT, row, None)?, Some(exists)).await;
    add_members(db, connection, connection.sharing.members.iter()).await
}

/// Updates the fields that callers can change, the metadata of the credential, and the revision.
pub async fn update(db: &impl ConnectionTrait, connection: &Connection) -> Result<()> {
    static UPDATE: Text = Text::new();
    let CredentialStatus { auth_method, set_fields, revision, set_time, expire_time } = connection.credential.clone();
    let row = connection::ActiveModel {
        organization: Unchanged(connection.name.organization.to_string()),
        uid: Unchanged(connection.uid.0),
        display_name: Set(connection.display_name.clone()),
        display_name_search: Set(connection.display_name.to_lowercase()),
        description: Set(connection.description.clone()),
        schema_version: Set(i32::try_from(connection.schema_version).map_err(Error::internal)?),
        properties: Set(Value::Object(connection.properties.clone())),
        needs_credential: Set(connection.needs_credential),
        credential_auth_method: Set(auth_method),
        credential_set_fields: Set(serde_json::to_value(set_fields).map_err(Error::internal)?),
        credential_revision: Set(revision),
        credential_set_time: Set(set_time),
        credential_expire_time: Set(expire_time),
        shared_with_all: Set(connection.sharing.all_contributors),
        suspended: Set(connection.suspended),
        suspend_reason: Set(connection.suspend_reason.clone()),
        labels: Set(serde_json::to_value(&connection.labels).map_err(Error::internal)?),
        updater: Set(connection.updater.clone()),
        update_time: Set(connection.update_time),
        revision: Set(connection.revision),
        last_test: Set(connection.last_test.as_ref().map(serde_json::to_value).transpose().map_err(Error::internal)?),
        ..Default::default()
    };
    Ok(text::update(db, &UPDATE, row).await?)
}

/// Saves the result of a test of a connection, unless the connection changed since revision `tested`.
pub async fn save_test(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uid: ConnectionUid,
    tested: i64,
    result: &LastTest,
) -> Result<()> {
    let result = serde_json::to_value(result).map_err(Error::internal)?;
    connection::Entity::update_many()
        .col_expr(connection::Column::LastTest, Expr::val(result))
        .filter(connection::Column::Organization.eq(scope.organization.as_str()))
        .filter(connection::Column::Uid.eq(uid.0))
        .filter(connection::Column::Revision.eq(tested))
        .exec(db)
        .await?;
    Ok(())
}

/// Adds members to a connection.
pub async fn add_members(
    db: &impl ConnectionTrait,
    connection: &Connection,
    members: impl Iterator<Item = &Member>,
) -> Result<()> {
    let rows: Vec<_> = members
        .map(|member| connection_member::ActiveModel {
            organization: Set(connection.name.organization.to_string()),
            connection_uid: Set(connection.uid.0),
            member: Set(member.as_str().to_owned()),
        })
        .collect();
    for chunk in rows.chunks(MAX_MEMBERS_PER_STATEMENT) {
        connection_member::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await?;
    }
    Ok(())
}

/// Removes members from a connection.
pub async fn remove_members(
    db: &impl ConnectionTrait,
    connection: &Connection,
    members: impl Iterator<Item = &Member>,
) -> Result<()> {
    let members: Vec<_> = members.map(Member::as_str).collect();
    for chunk in members.chunks(MAX_MEMBERS_PER_STATEMENT) {
        connection_member::Entity::delete_many()
            .filter(connection_member::Column::Organization.eq(connection.name.organization.as_str()))
            .filter(connection_member::Column::ConnectionUid.eq(connection.uid.0))
            .filter(connection_member::Column::Member.is_in(chunk.iter().copied()))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Deletes a connection with its members and its credential. A foreign key prevents it while an export is attached.
pub async fn delete(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: ConnectionUid) -> Result<()> {
    credentials::erase(db, scope, uid).await?;
    connection_member::Entity::delete_many()
        .filter(connection_member::Column::Organization.eq(scope.organization.as_str()))
        .filter(connection_member::Column::ConnectionUid.eq(uid.0))
        .exec(db)
        .await?;
    connection::Entity::delete_by_id((scope.organization.to_string(), uid.0)).exec(db).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct UsableRow {
    uid: Uuid,
    id: String,
    display_name: String,
    connection_type: String,
    update_time: DateTime<Utc>,
}
