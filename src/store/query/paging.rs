//! Keyset pages: the cost of a page does not depend on its position.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Order as Direction, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::model::page::{Order, OrderKey, Page, PageRequest, Position, PositionKey};
use crate::model::{Result, limits};

/// Rows per statement. A page of large rows reaches its limit of bytes before all of it is in memory.
const MAX_ROWS_PER_STATEMENT: u64 = 100;

/// Columns that a list can be ordered by.
pub struct Keys<E: EntityTrait> {
    pub uid: E::Column,
    pub display_name: E::Column,
    pub update_time: E::Column,
}

/// The position of an entry in an order.
pub fn position(order: Order, uid: Uuid, display_name: &str, update_time: DateTime<Utc>) -> Position {
    let key = match order.key {
        OrderKey::CreateTime => PositionKey::Uid,
        OrderKey::DisplayName => PositionKey::Text(display_name.to_owned()),
        OrderKey::UpdateTime => PositionKey::Time(update_time),
    };
    Position { key, uid }
}

/// Reads a page with keyset queries until it has enough entries or bytes.
pub async fn page<E, R, T>(
    db: &impl ConnectionTrait,
    query: &Select<E>,
    keys: &Keys<E>,
    request: &PageRequest,
    into_model: impl Fn(R) -> Result<T>,
    position: impl Fn(&T) -> Position,
    size: impl Fn(&T) -> usize,
) -> Result<Page<T>>
where
    E: EntityTrait,
    R: FromQueryResult,
{
    let wanted = request.size as usize;
    let mut items: Vec<T> = Vec::new();
    let mut bytes = 0;
    let mut after = request.after.clone();
    loop {
        // One extra entry shows whether there is a next page.
        let limit = Ord::min(MAX_ROWS_PER_STATEMENT, (wanted - items.len()) as u64 + 1);
        let rows = ordered(query.clone(), keys, request.order, after.as_ref()).limit(limit).into_model::<R>();
        let rows = rows.all(db).await?;
        let last_chunk = (rows.len() as u64) < limit;
        for row in rows {
            if items.len() == wanted || bytes >= limits::MAX_PAGE_BYTES {
                let next = items.last().map(&position);
                return Ok(Page { items, next });
            }
            let item = into_model(row)?;
            bytes += size(&item);
            items.push(item);
        }
        if last_chunk {
            return Ok(Page { items, next: None });
        }
        after = items.last().map(&position);
    }
}

fn ordered<E: EntityTrait>(query: Select<E>, keys: &Keys<E>, order: Order, after: Option<&Position>) -> Select<E> {
    let direction = if order.descending { Direction::Desc } else { Direction::Asc };
    let query = match order.key {
        OrderKey::CreateTime => query,
        OrderKey::DisplayName => query.order_by(keys.display_name, direction.clone()),
        OrderKey::UpdateTime => query.order_by(keys.update_time, direction.clone()),
    };
    let query = query.order_by(keys.uid, direction);
    let Some(after) = after else { return query };
    let uid = || Expr::col(keys.uid.as_column_ref());
    let (place, bound) = match &after.key {
        PositionKey::Uid => (uid(), Expr::val(after.uid)),
        PositionKey::Text(text) => (
            Expr::tuple([Expr::col(keys.display_name.as_column_ref()), uid()]),
            Expr::tuple([Expr::val(text.as_str()), Expr::val(after.uid)]),
        ),
        PositionKey::Time(time) => (
            Expr::tuple([Expr::col(keys.update_time.as_column_ref()), uid()]),
            Expr::tuple([Expr::val(*time), Expr::val(after.uid)]),
        ),
    };
    query.filter(if order.descending { place.lt(bound) } else { place.gt(bound) })
}
