//! The format of what runs store, so that a replica of an earlier release leaves the runs of a later one alone.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Runs {
    Table,
    FormatVersion,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let format_version = ColumnDef::new(Runs::FormatVersion).integer().not_null().default(1).take();
        manager.alter_table(Table::alter().table(Runs::Table).add_column(format_version).take()).await
    }
}
