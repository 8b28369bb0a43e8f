//! Indexes of runs: the unfinished runs of an export are found without reading its history, and the writes of an attempt in
//! progress change no index.

use sea_orm_migration::prelude::*;

use super::run_state_is;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Runs {
    Table,
    Organization,
    ExportUid,
    Uid,
    EndTime,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["runs_leases", "runs_remains"] {
            manager.drop_index(Index::drop().name(name).table(Runs::Table).to_owned()).await?;
        }
        // Also in the order of the runs: SQLite prefers an index that needs no sorting.
        let unfinished = Index::create()
            .name("runs_unfinished")
            .table(Runs::Table)
            .col(Runs::Organization)
            .col(Runs::ExportUid)
            .col(Runs::Uid)
            .and_where(run_state_is(&["QUEUED", "RUNNING", "CANCELLING"]))
            .take();
        let remains = Index::create()
            .name("runs_remains")
            .table(Runs::Table)
            .col(Runs::EndTime)
            .and_where(run_state_is(&["FAILED", "CANCELLED", "SKIPPED"]))
            .take();
        manager.create_index(unfinished).await?;
        manager.create_index(remains).await
    }
}
