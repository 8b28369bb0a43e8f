//! Sealed credentials: stored, replaced and erased. Their metadata is in the connection's row.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QueryResult,
    QuerySelect as _, Set,
};
use serde_json::{Map, Value};

use super::entities::{connection, credential};
use super::query::lookup;
use super::query::text::{self, Text};
use super::{Scope, Transaction};
use crate::model::{
    Connection, ConnectionName, ConnectionUid, Error, OrganizationId, ResourceId, Result, SealedSecret,
};

/// Stores a secret, replacing the present one. Its metadata is stored with the connection.
pub async fn put(db: &Transaction, connection: &Connection, sealed: SealedSecret) -> Result<()> {
    static PUT: Text = Text::new();
    let row = credential::ActiveModel {
        organization: Set(connection.name.organization.to_string()),
        connection_uid: Set(connection.uid.0),
        revision: Set(connection.credential.revision),
        key_id: Set(sealed.key_id),
        envelope: Set(sealed.envelope),
    };
    let replace = || {
        OnConflict::columns([credential::Column::Organization, credential::Column::ConnectionUid])
            .update_columns([credential::Column::Revision, credential::Column::KeyId, credential::Column::Envelope])
            .to_owned()
    };
    db.insert(text::insert(db.get_database_backend(), &PUT, row, Some(replace))?, None).await;
    Ok(())
}

/// Erases the secret of a connection. Its metadata is stored with the connection.
pub async fn erase(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: ConnectionUid) -> Result<()> {
    credential::Entity::delete_by_id((scope.organization.to_string(), uid.0)).exec(db).await?;
    Ok(())
}

/// The sealed secret of a connection and its revision.
pub async fn get(
    db: &impl ConnectionTrait,
    scope: &Scope<'_>,
    uid: ConnectionUid,
) -> Result<Option<(i64, SealedSecret)>> {
    let query = credential::Entity::find_by_id((scope.organization.to_string(), uid.0));
    let row: Option<credential::Model> = lookup::fetch_one(db, query).await?;
    Ok(row.map(|row| (row.revision, SealedSecret { key_id: row.key_id, envelope: row.envelope })))
}

/// Ids of the keys that the credentials of all organizations are sealed with, in byte order. Reads one row for each.
pub async fn key_ids(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let query = credential::Entity::find()
            .select_only()
            .column(credential::Column::KeyId)
            .filter(credential::Column::KeyId.gt(ids.last().map_or("", String::as_str)))
            .order_by_asc(credential::Column::KeyId)
            .limit(1);
        match lookup::fetch_scalar(db, query).await? {
            Some(id) => ids.push(id),
            None => return Ok(ids),
        }
    }
}

/// A sealed credential of any organization, with what it is bound to.
pub struct StoredCredential {
    /// Name of the connection that it belongs to.
    pub connection: ConnectionName,
    /// Uid of that connection, to which it is bound.
    pub connection_uid: ConnectionUid,
    /// Properties of that connection, to some of which it is bound.
    pub properties: Map<String, Value>,
    /// The revision of the credential.
    pub revision: i64,
    /// The sealed credential.
    pub sealed: SealedSecret,
}

/// Credentials of all organizations that are sealed with a key, in order of organization and connection.
pub async fn page(
    db: &impl ConnectionTrait,
    key_id: &str,
    after: Option<&(OrganizationId, ConnectionUid)>,
    limit: u64,
) -> Result<Vec<StoredCredential>> {
    use credential::Column as C;
    let column = |column: C| (credential::Entity, column);
    let mut query = Query::select();
    query
        .columns([C::Organization, C::ConnectionUid, C::Revision, C::KeyId, C::Envelope].map(column))
        .columns([connection::Column::Id, connection::Column::Properties].map(|column| (connection::Entity, column)))
        .from(credential::Entity)
        .inner_join(
            connection::Entity,
            Expr::col((connection::Entity, connection::Column::Organization))
                .equals(column(C::Organization))
                .and(Expr::col((connection::Entity, connection::Column::Uid)).equals(column(C::ConnectionUid))),
        )
        .and_where(Expr::col(column(C::KeyId)).eq(key_id))
        .order_by(column(C::Organization), Order::Asc)
        .order_by(column(C::ConnectionUid), Order::Asc)
        .limit(limit);
    if let Some((organization, connection_uid)) = after {
        let position = [Expr::val(organization.as_str()), Expr::val(connection_uid.0)];
        let key = [C::Organization, C::ConnectionUid].map(|part| Expr::col(column(part)));
        query.and_where(Expr::tuple(key).gt(Expr::tuple(position)));
    }
    let rows = db.query_all(&query).await?;
    rows.iter().map(stored).collect()
}

fn stored(row: &QueryResult) -> Result<StoredCredential> {
    let organization: String = row.try_get("", "organization")?;
    let id: String = row.try_get("", "id")?;
    let organization = OrganizationId::parse(&organization).ok_or_else(|| Error::internal("a stored organization"))?;
    let id = ResourceId::parse(&id).ok_or_else(|| Error::internal("a stored id"))?;
    let properties: Value = row.try_get("", "properties")?;
    Ok(StoredCredential {
        connection: ConnectionName { organization, id },
        connection_uid: ConnectionUid(row.try_get("", "connection_uid")?),
        properties: properties.as_object().cloned().unwrap_or_default(),
        revision: row.try_get("", "revision")?,
        sealed: SealedSecret { key_id: row.try_get("", "key_id")?, envelope: row.try_get("", "envelope")? },
    })
}

/// Replaces the envelope of a credential unless another one was stored since it was read. Returns whether it was replaced.
pub async fn replace(db: &impl ConnectionTrait, found: &StoredCredential, sealed: &SealedSecret) -> Result<bool> {
    let result = credential::Entity::update_many()
        .col_expr(credential::Column::KeyId, Expr::val(sealed.key_id.as_str()))
        .col_expr(credential::Column::Envelope, Expr::val(sealed.envelope.clone()))
        .filter(credential::Column::Organization.eq(found.connection.organization.as_str()))
        .filter(credential::Column::ConnectionUid.eq(found.connection_uid.0))
        .filter(credential::Column::Envelope.eq(found.sealed.envelope.clone()))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Whether a credential of any organization is sealed with a key.
pub async fn uses(db: &impl ConnectionTrait, key_id: &str) -> Result<bool> {
    let query = credential::Entity::find()
        .select_only()
        .column(credential::Column::KeyId)
        .filter(credential::Column::KeyId.eq(key_id))
        .limit(1);
    Ok(lookup::fetch_scalar::<_, String>(db, query).await?.is_some())
}

/// Number of credentials per sealing key, over all organizations.
pub async fn count_by_key(db: &impl ConnectionTrait) -> Result<Vec<(String, i64)>> {
    let query = credential::Entity::find()
        .select_only()
        .column(credential::Column::KeyId)
        .column_as(credential::Column::ConnectionUid.count(), "count")
        .group_by(credential::Column::KeyId);
    Ok(query.into_tuple().all(db).await?)
}
