//! The schema, one dated file for each step; a step that was released is never changed.

use sea_orm_migration::prelude::*;

mod m20261124_000001_connections;
mod m20261124_000002_exports;
mod m20261124_000003_request_ids;
mod m20261124_000004_audit_events;
mod m20261124_000005_sealed_secrets;

/// All steps, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_connections::Migration),
            Box::new(m20261124_000002_exports::Migration),
            Box::new(m20261124_000003_request_ids::Migration),
            Box::new(m20261124_000004_audit_events::Migration),
            Box::new(m20261124_000005_sealed_secrets::Migration),
        ]
    }
}

/// A text in byte order on both databases: PostgreSQL's own order may be any.
fn text(manager: &SchemaManager<'_>, column: impl IntoIden) -> ColumnDef {
    let mut definition = ColumnDef::new(column);
    if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::Postgres {
        definition.custom("text COLLATE \"C\"");
    } else {
        definition.text();
    }
    definition
}
