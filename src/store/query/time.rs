//! The time of the database, and of uids.

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::Query;
use uuid::Uuid;

use super::expressions::now;
use super::scope::ReadContext;
use crate::model::{Error, Result};

/// The database's time plus the clock's offset.
pub async fn database_time(db: &impl ConnectionTrait, read_context: &ReadContext) -> Result<DateTime<Utc>> {
    let query = Query::select().expr_as(now(db.get_database_backend(), read_context), "time").take();
    let row = db.query_one(&query).await?.ok_or_else(|| Error::internal("the query for the time returned no row"))?;
    Ok(row.try_get("", "time")?)
}

/// The smallest UUIDv7 of a millisecond: its first 48 bits are the time.
pub fn first_uid_at(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}
