//! Rows of `connections` with their members and availability, and their conversion.

use std::sync::LazyLock;

use sea_orm::sea_query::{Expr, Query, ReturningClause, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryResult, QuerySelect as _, Select,
};

use super::Scope;
use super::entities::connection::{Column, Entity};
use super::query::columns::Columns;
use super::query::expressions::{availability, column_list, members};
use crate::model::{
    Availability, Connection, ConnectionName, ConnectionTypeId, ConnectionUid, CredentialStatus, Error, Member,
    ResourceId, Result, Sharing, json,
};

/// The columns of [`read`], after the members and the availability.
const COLUMNS: [Column; 26] = [
    Column::Id,
    Column::Uid,
    Column::DisplayName,
    Column::Description,
    Column::ConnectionType,
    Column::SchemaVersion,
    Column::Properties,
    Column::NeedsCredential,
    Column::CredentialAuthMethod,
    Column::CredentialSetFields,
    Column::CredentialRevision,
    Column::CredentialSetTime,
    Column::CredentialExpireTime,
    Column::SharedWithAll,
    Column::Suspended,
    Column::SuspendReason,
    Column::AttachedExportCount,
    Column::AttachmentRevision,
    Column::LastAttachedRevision,
    Column::Labels,
    Column::Creator,
    Column::CreateTime,
    Column::Updater,
    Column::UpdateTime,
    Column::Revision,
    Column::LastTest,
];

/// Selects the connections of an organization.
pub fn select(db: &impl ConnectionTrait, scope: &Scope<'_>) -> SelectStatement {
    Query::select()
        .exprs(expressions(db, scope))
        .from(Entity)
        .and_where(Column::Organization.eq(scope.organization.as_str()))
        .take()
}

/// Selects the uid of the connection with an id.
pub fn select_uid(scope: &Scope<'_>, id: &ResourceId) -> Select<Entity> {
    Entity::find()
        .select_only()
        .column(Column::Uid)
        .filter(Column::Organization.eq(scope.organization.as_str()))
        .filter(Column::Id.eq(id.as_str()))
}

/// Makes a statement that changes connections return the same columns.
pub fn returning(db: &impl ConnectionTrait, scope: &Scope<'_>) -> ReturningClause {
    Query::returning().exprs(expressions(db, scope))
}

fn expressions(db: &impl ConnectionTrait, scope: &Scope<'_>) -> [SimpleExpr; 3] {
    static LIST: LazyLock<String> = LazyLock::new(|| column_list::<Entity>(COLUMNS));
    [members(), availability(db.get_database_backend(), scope.read_context), Expr::cust(LIST.as_str())]
}

/// Reads a connection from a row of [`select`].
pub fn read(row: &QueryResult, scope: &Scope<'_>) -> Result<Connection> {
    let mut columns = Columns::of(row);
    let members: Option<String> = columns.next()?;
    let availability = Availability::from_code(columns.next()?);
    Ok(Connection {
        availability: availability.ok_or_else(|| Error::internal("unknown availability"))?,
        name: ConnectionName { organization: scope.organization.clone(), id: ResourceId::stored(columns.next()?) },
        uid: ConnectionUid(columns.next()?),
        display_name: columns.next()?,
        description: columns.next()?,
        connection_type: ConnectionTypeId::new(columns.next::<String>()?),
        schema_version: u32::try_from(columns.next::<i32>()?).map_err(Error::internal)?,
        properties: columns.json()?,
        needs_credential: columns.next()?,
        credential: CredentialStatus {
            auth_method: columns.next()?,
            set_fields: columns.json()?,
            revision: columns.next()?,
            set_time: columns.next()?,
            expire_time: columns.next()?,
        },
        sharing: Sharing {
            all_contributors: columns.next()?,
            members: members.iter().flat_map(|members| members.lines()).map(Member::stored).collect(),
        },
        suspended: columns.next()?,
        suspend_reason: columns.next()?,
        attached_export_count: u64::try_from(columns.next::<i64>()?).map_err(Error::internal)?,
        attachment_revision: columns.next()?,
        last_attached_revision: columns.next()?,
        labels: columns.json()?,
        creator: columns.next()?,
        create_time: columns.next()?,
        updater: columns.next()?,
        update_time: columns.next()?,
        revision: columns.next()?,
        last_test: columns.optional_json()?,
    })
}

/// Bytes of a connection on a page.
pub fn size(connection: &Connection) -> usize {
    let members = connection.sharing.members.iter().map(|member| member.as_str().len());
    let labels = connection.labels.iter().map(|(key, value)| key.len() + value.len());
    512 + connection.description.len()
        + connection.suspend_reason.len()
        + json::least_len(&connection.properties)
        + members.chain(labels).sum::<usize>()
}
