//! Results of successful mutations by `request_id`.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum RequestIds {
    Table,
    Organization,
    Principal,
    Method,
    RequestId,
    Digest,
    Effect,
    CreateTime,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(RequestIds::Table)
            .col(text(manager, RequestIds::Organization).not_null())
            .col(text(manager, RequestIds::Principal).not_null())
            .col(text(manager, RequestIds::Method).not_null())
            .col(ColumnDef::new(RequestIds::RequestId).uuid().not_null())
            .col(ColumnDef::new(RequestIds::Digest).blob().not_null())
            .col(ColumnDef::new(RequestIds::Effect).json_binary().not_null())
            .col(ColumnDef::new(RequestIds::CreateTime).timestamp_with_time_zone().not_null())
            .primary_key(
                Index::create()
                    .col(RequestIds::Organization)
                    .col(RequestIds::Principal)
                    .col(RequestIds::Method)
                    .col(RequestIds::RequestId),
            )
            .take();
        manager.create_table(table).await?;
        let by_time =
            Index::create().name("request_ids_time").table(RequestIds::Table).col(RequestIds::CreateTime).take();
        manager.create_index(by_time).await
    }
}
