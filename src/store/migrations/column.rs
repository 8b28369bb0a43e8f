//! Columns and conditions shared by migrations.

use sea_orm_migration::prelude::*;

/// A text column in byte order on both databases; the default collation of PostgreSQL depends on the database.
pub(super) fn text(manager: &SchemaManager<'_>, column: impl IntoIden) -> ColumnDef {
    let mut definition = ColumnDef::new(column);
    if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::Postgres {
        definition.custom("text COLLATE \"C\"");
    } else {
        definition.text();
    }
    definition
}

/// Whether a run is in one of these states. The states are literals, so that partial indexes apply.
pub(super) fn run_state_is(states: &[&str]) -> SimpleExpr {
    Expr::col("state").is_in(states.iter().map(|state| SimpleExpr::Constant((*state).into())))
}
