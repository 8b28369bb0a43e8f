//! Sealed secrets of the service itself; each is written once, by the first replica.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, Set};

use super::entities::sealed_secret;
use super::query::lookup;
use crate::model::{Error, Result, SealedSecret};

/// Inserts a secret unless there is one for this purpose; returns the stored one.
pub async fn get_or_insert(db: &impl ConnectionTrait, purpose: &str, sealed: SealedSecret) -> Result<SealedSecret> {
    let row = sealed_secret::ActiveModel {
        purpose: Set(purpose.to_owned()),
        key_id: Set(sealed.key_id),
        envelope: Set(sealed.envelope),
    };
    let keep = OnConflict::column(sealed_secret::Column::Purpose).do_nothing().to_owned();
    sealed_secret::Entity::insert(row).on_conflict(keep).try_insert().exec_without_returning(db).await?;
    get(db, purpose).await?.ok_or_else(|| Error::internal("a sealed secret was neither inserted nor found"))
}

/// Replaces a secret unless another one was stored since it was read. Returns whether it was replaced.
pub async fn replace(
    db: &impl ConnectionTrait,
    purpose: &str,
    found: &SealedSecret,
    sealed: &SealedSecret,
) -> Result<bool> {
    let result = sealed_secret::Entity::update_many()
        .col_expr(sealed_secret::Column::KeyId, Expr::val(sealed.key_id.as_str()))
        .col_expr(sealed_secret::Column::Envelope, Expr::val(sealed.envelope.clone()))
        .filter(sealed_secret::Column::Purpose.eq(purpose))
        .filter(sealed_secret::Column::Envelope.eq(found.envelope.clone()))
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Removes the secret for a purpose.
pub async fn remove(db: &impl ConnectionTrait, purpose: &str) -> Result<()> {
    sealed_secret::Entity::delete_by_id(purpose).exec(db).await?;
    Ok(())
}

/// The secret for a purpose.
pub async fn get(db: &impl ConnectionTrait, purpose: &str) -> Result<Option<SealedSecret>> {
    let row: Option<sealed_secret::Model> = lookup::fetch_one(db, sealed_secret::Entity::find_by_id(purpose)).await?;
    Ok(row.map(|row| SealedSecret { key_id: row.key_id, envelope: row.envelope }))
}
