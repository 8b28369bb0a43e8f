//! The service's own sealed rows: written once, by whoever comes first.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait as _, Set};

use super::entities::sealed_secret;
use super::query::lookup;
use crate::model::{Error, Result, SealedSecret};

/// Writes a row unless there is one, and gives the one that is there.
pub async fn get_or_insert(db: &impl ConnectionTrait, purpose: &str, sealed: SealedSecret) -> Result<SealedSecret> {
    let row = sealed_secret::ActiveModel {
        purpose: Set(purpose.to_owned()),
        key_id: Set(sealed.key_id),
        envelope: Set(sealed.envelope),
    };
    let keep = OnConflict::column(sealed_secret::Column::Purpose).do_nothing().to_owned();
    sealed_secret::Entity::insert(row).on_conflict(keep).try_insert().exec_without_returning(db).await?;
    get(db, purpose).await?.ok_or_else(|| Error::internal("a sealed row is neither free nor taken"))
}

/// The row of a purpose.
pub async fn get(db: &impl ConnectionTrait, purpose: &str) -> Result<Option<SealedSecret>> {
    let row: Option<sealed_secret::Model> = lookup::fetch_one(db, sealed_secret::Entity::find_by_id(purpose)).await?;
    Ok(row.map(|row| SealedSecret { key_id: row.key_id, envelope: row.envelope }))
}
