//! An index of the due times of the exports of a connection, for the earliest one.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Exports {
    Table,
    Organization,
    ConnectionUid,
    NextDueTime,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let due = Index::create()
            .name("exports_due_by_connection")
            .table(Exports::Table)
            .col(Exports::Organization)
            .col(Exports::ConnectionUid)
            .col(Exports::NextDueTime)
            .and_where(Expr::col(Exports::NextDueTime).is_not_null())
            .take();
        manager.create_index(due).await
    }
}
