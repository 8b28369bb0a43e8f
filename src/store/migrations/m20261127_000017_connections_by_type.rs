//! An index of connections by type, to count them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Connections {
    Table,
    Organization,
    ConnectionType,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_type = Index::create()
            .name("connections_type")
            .table(Connections::Table)
            .col(Connections::Organization)
            .col(Connections::ConnectionType)
            .take();
        manager.create_index(by_type).await
    }
}
