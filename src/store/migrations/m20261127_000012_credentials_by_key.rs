//! Credentials by the key that sealed them: the keys in use, and the credentials of each, without a scan of the table.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Credentials {
    Table,
    KeyId,
    Organization,
    ConnectionUid,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_key = Index::create()
            .name("credentials_key")
            .table(Credentials::Table)
            .col(Credentials::KeyId)
            .col(Credentials::Organization)
            .col(Credentials::ConnectionUid)
            .take();
        manager.create_index(by_key).await
    }
}
