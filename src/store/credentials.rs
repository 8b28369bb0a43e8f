//! Sealed credentials: stored, replaced and erased. Their metadata is in the connection's row.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QuerySelect as _, Set, Unchanged,
};

use super::Scope;
use super::entities::{connection, credential};
use super::query::lookup;
use crate::model::{Connection, ConnectionUid, CredentialStatus, Error, Result, SealedSecret};

/// Stores a secret, replacing the present one, with its metadata (`connection.credential`).
pub async fn put(db: &impl ConnectionTrait, connection: &Connection, sealed: SealedSecret) -> Result<()> {
    let row = credential::ActiveModel {
        organization: Set(connection.name.organization.to_string()),
        connection_uid: Set(connection.uid.0),
        revision: Set(connection.credential.revision),
        key_id: Set(sealed.key_id),
        envelope: Set(sealed.envelope),
    };
    let replace = OnConflict::columns([credential::Column::Organization, credential::Column::ConnectionUid])
        .update_columns([credential::Column::Revision, credential::Column::KeyId, credential::Column::Envelope])
        .to_owned();
    credential::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    set_status(db, connection).await
}

/// Erases the secret of a connection and writes the metadata (`connection.credential`).
pub async fn erase(db: &impl ConnectionTrait, connection: &Connection) -> Result<()> {
    delete(db, connection.name.organization.as_str(), connection.uid).await?;
    set_status(db, connection).await
}

/// Erases the secret of a connection that is about to be deleted.
pub async fn erase_for_removal(db: &impl ConnectionTrait, scope: &Scope<'_>, uid: ConnectionUid) -> Result<()> {
    delete(db, scope.organization.as_str(), uid).await
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

/// Ids of the keys that the credentials of all organizations are sealed with, in byte order.
pub async fn key_ids(db: &impl ConnectionTrait) -> Result<Vec<String>> {
    let query = credential::Entity::find().select_only().column(credential::Column::KeyId).distinct();
    let mut ids: Vec<String> = query.into_tuple().all(db).await?;
    ids.sort();
    Ok(ids)
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

async fn delete(db: &impl ConnectionTrait, organization: &str, uid: ConnectionUid) -> Result<()> {
    credential::Entity::delete_by_id((organization.to_owned(), uid.0)).exec(db).await?;
    Ok(())
}

async fn set_status(db: &impl ConnectionTrait, connection: &Connection) -> Result<()> {
    let CredentialStatus { auth_method, set_fields, revision, set_time, expire_time } = connection.credential.clone();
    let row = connection::ActiveModel {
        organization: Unchanged(connection.name.organization.to_string()),
        uid: Unchanged(connection.uid.0),
        credential_auth_method: Set(auth_method),
        credential_set_fields: Set(serde_json::to_value(set_fields).map_err(Error::internal)?),
        credential_revision: Set(revision),
        credential_set_time: Set(set_time),
        credential_expire_time: Set(expire_time),
        ..Default::default()
    };
    row.update_without_returning(db).await?;
    Ok(())
}
