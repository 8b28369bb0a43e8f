//! An index of the connections that are shared with all contributors, for their search.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Connections {
    Table,
    Organization,
    Uid,
    SharedWithAll,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let shared = Index::create()
            .name("connections_shared")
            .table(Connections::Table)
            .col(Connections::Organization)
            .col(Connections::Uid)
            .and_where(Expr::col(Connections::SharedWithAll))
            .take();
        manager.create_index(shared).await
    }
}
