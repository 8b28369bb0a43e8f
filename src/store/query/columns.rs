//! Reads the columns of a row in the order in which its statement selects them.

use std::sync::Arc;

use sea_orm::{DbErr, QueryResult, RuntimeErr};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

/// The columns of a row, from the first one.
pub struct Columns<'r> {
    row: Option<DatabaseRow<'r>>,
    next: usize,
}

/// A row of a database. SeaORM would look it up for each value.
enum DatabaseRow<'r> {
    Postgres(&'r PgRow),
    Sqlite(&'r SqliteRow),
}

/// A type that is read from columns of both databases.
pub trait Column: Type<Postgres> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + for<'r> Decode<'r, Sqlite> {}

impl<T> Column for T where T: Type<Postgres> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + for<'r> Decode<'r, Sqlite> {}

impl<'r> Columns<'r> {
    /// Starts before the first column.
    pub fn of(row: &'r QueryResult) -> Self {
        Self::after(row, 0)
    }

    /// Starts after a number of columns.
    pub fn after(row: &'r QueryResult, count: usize) -> Self {
        let postgres = row.try_as_pg_row().map(DatabaseRow::Postgres);
        Self { row: postgres.or_else(|| row.try_as_sqlite_row().map(DatabaseRow::Sqlite)), next: count }
    }

    /// The value of the next column.
    pub fn next<T: Column>(&mut self) -> Result<T, DbErr> {
        let index = self.next;
        self.next += 1;
        // Comparing types takes as long as reading the value: tests do it.
        let is_checked = cfg!(debug_assertions);
        let value = match self.row {
            Some(DatabaseRow::Postgres(row)) if is_checked => row.try_get(index),
            Some(DatabaseRow::Postgres(row)) => row.try_get_unchecked(index),
            Some(DatabaseRow::Sqlite(row)) if is_checked => row.try_get(index),
            Some(DatabaseRow::Sqlite(row)) => row.try_get_unchecked(index),
            None => return Err(DbErr::Type("a row of an unknown database".to_owned())),
        };
        value.map_err(|cause| DbErr::Query(RuntimeErr::SqlxError(Arc::new(cause))))
    }

    /// The value of the next column, which is JSON.
    pub fn json<T: DeserializeOwned + 'static>(&mut self) -> Result<T, DbErr> {
        Ok(self.next::<Json<T>>()?.0)
    }

    /// The same if the column may be null.
    pub fn optional_json<T: DeserializeOwned + 'static>(&mut self) -> Result<Option<T>, DbErr> {
        Ok(self.next::<Option<Json<T>>>()?.map(|Json(value)| value))
    }
}
