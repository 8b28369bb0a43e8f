//! Sealed secrets of the service itself.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum SealedSecrets {
    Table,
    Purpose,
    KeyId,
    Envelope,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(SealedSecrets::Table)
            .col(text(manager, SealedSecrets::Purpose).not_null().primary_key())
            .col(text(manager, SealedSecrets::KeyId).not_null())
            .col(ColumnDef::new(SealedSecrets::Envelope).blob().not_null())
            .take();
        manager.create_table(table).await
    }
}
