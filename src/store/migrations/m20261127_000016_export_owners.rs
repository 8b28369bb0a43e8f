//! Owners of exports. An export without one, of an older version, is owned by its creator.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Exports {
    Table,
    Owner,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let owner = text(manager, Exports::Owner);
        manager.alter_table(Table::alter().table(Exports::Table).add_column(owner).take()).await
    }
}
