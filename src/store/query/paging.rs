//! Keyset pages: the cost of a page depends neither on its position nor on how rare the listed rows are.
//!
//! A page reads only the rows that it returns, or, if no index serves the filters in the order of the list, the rows that
//! follow until enough of them match. It then ends after [`MAX_ROWS_READ`] rows, with a position to continue from.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, QueryResult, Statement};
use uuid::Uuid;

use super::list::List;
use crate::model::page::{Order, OrderKey, Page, PageRequest, Position, PositionKey};
use crate::model::{Result, limits};
use crate::store::Reader;

/// Rows returned per statement: a page of the default size, and the extra entry. A page of large rows reaches its limit of
/// bytes before all of it is in memory.
const MAX_ROWS_PER_STATEMENT: u64 = 51;
/// Rows that a page reads to find those that match its filters, before it ends.
pub const MAX_ROWS_READ: u64 = 10_000;
/// Rows that the first statement of a page reads.
const FIRST_ROWS_READ: u64 = 250;
/// Rows that a statement reads. Reading each from a slow disk takes less than `statement_timeout`.
const MAX_ROWS_READ_PER_STATEMENT: u64 = 2_500;

/// The position of an entry in an order.
pub fn position(order: Order, uid: Uuid, display_name: &str, update_time: DateTime<Utc>) -> Position {
    let key = match order.key {
        // The position in a feed is no property of an entry.
        OrderKey::CreateTime | OrderKey::Feed => PositionKey::Uid,
        OrderKey::DisplayName => PositionKey::Text(display_name.to_owned()),
        OrderKey::UpdateTime => PositionKey::Time(update_time),
    };
    Position { key, uid }
}

/// Reads a page until it has enough entries or bytes, or has read [`MAX_ROWS_READ`] rows.
pub async fn page<E: EntityTrait, T>(
    db: &Reader<'_>,
    list: List<'_, E>,
    request: &PageRequest,
    read: impl Fn(&QueryResult) -> Result<T>,
    position: impl Fn(&T) -> Position,
    size: impl Fn(&T) -> usize,
) -> Result<Page<T>> {
    let mut rows = list.in_order(request.order);
    let wanted = request.size as usize;
    let mut items: Vec<T> = Vec::new();
    let (mut bytes, mut rows_read, mut rows_to_read) = (0, 0, FIRST_ROWS_READ);
    let mut after = request.after.clone();
    loop {
        // One extra entry shows whether there is a next page.
        let limit = Ord::min(MAX_ROWS_PER_STATEMENT, (wanted - items.len()) as u64 + 1);
        let statement = rows.build(db.get_database_backend(), after.as_ref(), limit, rows_to_read)?;
        let found = db.query_rows(with_literal_limit(statement, limit)).await?;
        let is_full = found.len() as u64 == limit;
        items.reserve(found.len());
        let mut is_last_read = false;
        for row in &*found {
            if items.len() == wanted || bytes >= limits::MAX_PAGE_BYTES {
                return Ok(Page { items, next: after });
            }
            let matches = !rows.is_scan() || flag(row, "matches")?;
            is_last_read = rows.is_scan() && flag(row, "last_read")?;
            let item = read(row)?;
            after = Some(position(&item));
            if matches {
                bytes += size(&item);
                items.push(item);
            }
        }
        // The next statement would wait for their permit.
        drop(found);
        if !is_full && !is_last_read || after.as_ref().is_some_and(|after| rows.is_after_last(after)) {
            return Ok(Page { items, next: None });
        }
        if rows.is_scan() {
            rows_read += rows_to_read;
            if rows_read >= MAX_ROWS_READ {
                return Ok(Page { items, next: after });
            }
            if !is_full {
                rows.sort_if_few(db).await?;
            }
            // A full statement found what it returned in fewer rows.
            let next = if is_full { FIRST_ROWS_READ } else { rows_to_read * 4 };
            rows_to_read = next.min(MAX_ROWS_READ_PER_STATEMENT).min(MAX_ROWS_READ - rows_read);
        }
    }
}

/// Makes the limit at the end of a statement a literal, which the planner knows. For a bound limit, PostgreSQL expects a tenth of
/// the rows, and plans the statement again at every execution.
fn with_literal_limit(mut statement: Statement, limit: u64) -> Statement {
    if let Some(values) = &mut statement.values
        && let Some((before, last)) = statement.sql.rsplit_once(" LIMIT ")
        && (last == "?" || last == format!("${}", values.0.len()))
    {
        statement.sql = format!("{before} LIMIT {limit}");
        values.0.pop();
    }
    statement
}

/// A condition in a row; `NULL` is false, as in a filter.
fn flag(row: &QueryResult, column: &str) -> Result<bool> {
    Ok(row.try_get::<Option<bool>>("", column)?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use sea_orm::DbBackend;

    use super::*;

    #[test]
    fn the_last_limit_is_a_literal() {
        let limited = |backend, sql: &str| {
            let statement = Statement::from_sql_and_values(backend, sql, [7_i64.into(), 51_i64.into()]);
            let Statement { sql, values, .. } = with_literal_limit(statement, 51);
            (sql, values.unwrap().0.len())
        };
        for (backend, first, last) in [(DbBackend::Sqlite, "?", "?"), (DbBackend::Postgres, "$1", "$2")] {
            let sql = |limit| format!("SELECT a FROM b WHERE c = {first} ORDER BY a LIMIT {limit}");
            assert_eq!(limited(backend, &sql(last)), (sql("51"), 1));
            let other = format!("SELECT a FROM b WHERE c = {first} LIMIT {last} OFFSET 1");
            assert_eq!(limited(backend, &other), (other, 2));
        }
    }
}
