//! Names of files, unique on each connection; results of tests of connections; the calls that started runs.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum Exports {
    Table,
    Organization,
    ConnectionUid,
    FileName,
}

#[derive(Clone, Copy, DeriveIden)]
enum Connections {
    Table,
    LastTest,
}

#[derive(Clone, Copy, DeriveIden)]
enum Runs {
    Table,
    TraceParent,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let file_name = text(manager, Exports::FileName);
        manager.alter_table(Table::alter().table(Exports::Table).add_column(file_name).take()).await?;
        let last_test = ColumnDef::new(Connections::LastTest).json_binary().take();
        manager.alter_table(Table::alter().table(Connections::Table).add_column(last_test).take()).await?;
        let trace_parent = text(manager, Runs::TraceParent);
        manager.alter_table(Table::alter().table(Runs::Table).add_column(trace_parent).take()).await?;
        let unique = Index::create()
            .name("exports_file_name")
            .table(Exports::Table)
            .col(Exports::Organization)
            .col(Exports::ConnectionUid)
            .col(Exports::FileName)
            .and_where(Expr::col(Exports::FileName).is_not_null())
            .unique()
            .take();
        manager.create_index(unique).await
    }
}
