//! Texts of statements that most calls execute. SeaORM builds each at its first use, once for a database; after that, only the
//! values change.

use std::sync::OnceLock;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ConnectionTrait, DbBackend, DbErr, EntityTrait, Insert, IntoActiveModel,
    Iterable as _, PrimaryKeyToColumn as _, QueryTrait as _, Statement, StatementBuilder, Update, Value,
};

/// The text of a statement, for each database.
#[derive(Default)]
pub struct Text {
    postgres: OnceLock<String>,
    sqlite: OnceLock<String>,
}

impl Text {
    /// Nothing was built yet.
    pub const fn new() -> Self {
        Self { postgres: OnceLock::new(), sqlite: OnceLock::new() }
    }

    /// The statement that returns rows, whose values are `values`.
    pub fn returning<S: StatementBuilder>(
        &self,
        backend: DbBackend,
        values: Vec<Value>,
        build: impl Fn() -> S,
    ) -> Result<Statement, DbErr> {
        self.statement(backend, values, |_| Ok(backend.build(&build())), std::mem::take)
    }

    /// The statement that SeaORM builds for a row, with the values that `take` takes out of it.
    fn statement<A: Clone>(
        &self,
        backend: DbBackend,
        mut row: A,
        build: impl Fn(A) -> Result<Statement, DbErr>,
        take: impl FnOnce(&mut A) -> Vec<Value>,
    ) -> Result<Statement, DbErr> {
        let text = if backend == DbBackend::Sqlite { &self.sqlite } else { &self.postgres };
        let sql = if let Some(sql) = text.get() {
            sql
        } else {
            let first = build(row.clone())?;
            text.get_or_init(|| first.sql)
        };
        // In tests every statement is built.
        let expected = cfg!(debug_assertions).then(|| build(row.clone())).transpose()?;
        let statement = Statement::from_sql_and_values(backend, sql, take(&mut row));
        if let Some(expected) = expected {
            assert_eq!(statement, expected, "a statement has the same text and columns at each call");
        }
        Ok(statement)
    }
}

/// The statement that inserts a row, which has values in the same columns at each call.
pub fn insert<A: ActiveModelTrait>(
    backend: DbBackend,
    text: &Text,
    row: impl IntoActiveModel<A>,
    on_conflict: Option<fn() -> OnConflict>,
) -> Result<Statement, DbErr> {
    let build = |row| {
        let insert = Insert::one(row);
        Ok(match on_conflict {
            Some(on_conflict) => insert.on_conflict(on_conflict()).build(backend),
            None => insert.build(backend),
        })
    };
    let take = |row: &mut A| columns::<A>().filter_map(|column| set_value(row.take(column))).collect();
    text.statement(backend, row.into_active_model(), build, take)
}

/// Updates the row with a primary key, which is `Unchanged`. The same columns are set at each call.
pub async fn update<A: ActiveModelTrait>(db: &impl ConnectionTrait, text: &Text, row: A) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let build = |row| Ok(Update::one(row).validate()?.build(backend));
    let take = |row: &mut A| {
        let key: Vec<_> = <A::Entity as EntityTrait>::PrimaryKey::iter()
            .filter_map(|key| set_value(row.take(key.into_column())))
            .collect();
        columns::<A>().filter_map(|column| set_value(row.take(column))).chain(key).collect()
    };
    let updated = db.execute_raw(text.statement(backend, row, build, take)?).await?;
    if updated.rows_affected() == 0 { Err(DbErr::RecordNotUpdated) } else { Ok(()) }
}

fn columns<A: ActiveModelTrait>() -> impl Iterator<Item = <A::Entity as EntityTrait>::Column> {
    <A::Entity as EntityTrait>::Column::iter()
}

fn set_value(value: ActiveValue<Value>) -> Option<Value> {
    match value {
        ActiveValue::Set(value) | ActiveValue::Unchanged(value) => Some(value),
        ActiveValue::NotSet => None,
    }
}
