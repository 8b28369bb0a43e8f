//! Reads the columns of a row in the order in which its statement selects them.

use sea_orm::{DbErr, QueryResult, TryGetable, TryGetableFromJson};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The columns of a row, from the first one.
pub struct Columns<'r> {
    row: &'r QueryResult,
    next: usize,
}

/// A value that is stored as JSON.
#[derive(Deserialize)]
#[serde(transparent)]
struct Json<T>(T);

impl<T: DeserializeOwned> TryGetableFromJson for Json<T> {}

impl<'r> Columns<'r> {
    /// Starts before the first column.
    pub fn of(row: &'r QueryResult) -> Self {
        Self { row, next: 0 }
    }

    /// Starts after a number of columns.
    pub fn after(row: &'r QueryResult, count: usize) -> Self {
        Self { row, next: count }
    }

    /// The value of the next column.
    pub fn next<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let index = self.next;
        self.next += 1;
        self.row.try_get_by_index(index)
    }

    /// The value of the next column, which is JSON.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, DbErr> {
        Ok(self.next::<Json<T>>()?.0)
    }

    /// The same if the column may be null.
    pub fn optional_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DbErr> {
        Ok(self.next::<Option<Json<T>>>()?.map(|Json(value)| value))
    }
}
