//! Lookups of one row by a unique key, without the LIMIT that SeaORM's `one` adds.

use sea_orm::{
    ConnectionTrait, EntityTrait, FromQueryResult, QueryResult, QuerySelect as _, QueryTrait as _, Select,
    StatementBuilder, TryGetable, Value,
};
use uuid::Uuid;

use super::text::Text;
use crate::model::Result;

/// The row, if it exists.
pub async fn fetch_one<E: EntityTrait, R: FromQueryResult>(
    db: &impl ConnectionTrait,
    query: Select<E>,
) -> Result<Option<R>> {
    let row = db.query_one(&query.into_query()).await?;
    Ok(row.map(|row| R::from_query_result(&row, "")).transpose()?)
}

/// What is read from the row, if it exists. With a text and its values, the statement is built once only.
pub async fn read_one<S: StatementBuilder, T>(
    db: &impl ConnectionTrait,
    text: Option<(&Text, Vec<Value>)>,
    query: impl Fn() -> S,
    read: impl FnOnce(&QueryResult) -> Result<T>,
) -> Result<Option<T>> {
    let row = match text {
        Some((text, values)) => db.query_one_raw(text.returning(db.get_database_backend(), values, query)?).await?,
        None => db.query_one(&query()).await?,
    };
    row.as_ref().map(read).transpose()
}

/// The first column of the row, if it exists.
pub async fn fetch_scalar<E: EntityTrait, T: TryGetable>(
    db: &impl ConnectionTrait,
    query: Select<E>,
) -> Result<Option<T>> {
    let row = db.query_one(&query.into_query()).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

/// Whether a query has at least `count` rows. Reads no more than that.
pub async fn has_at_least<E: EntityTrait>(
    db: &impl ConnectionTrait,
    query: Select<E>,
    uid: E::Column,
    count: u64,
) -> Result<bool> {
    let Some(offset) = count.checked_sub(1) else { return Ok(true) };
    let row = query.select_only().column(uid).offset(offset).limit(1);
    Ok(fetch_scalar::<_, Uuid>(db, row).await?.is_some())
}
