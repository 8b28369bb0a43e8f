//! The queue of runs in the whole order of leases, so that the first run that may start is found without sorting.

use sea_orm_migration::prelude::*;

use super::run_state_is;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Runs {
    Table,
    Organization,
    NextAttemptTime,
    Uid,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let replaced = Index::drop().name("runs_queue").table(Runs::Table).to_owned();
        manager.drop_index(replaced).await?;
        let queue = Index::create()
            .name("runs_queue")
            .table(Runs::Table)
            .col(Runs::Organization)
            .col(Runs::NextAttemptTime)
            .col(Runs::Uid)
            .and_where(run_state_is(&["QUEUED"]))
            .take();
        manager.create_index(queue).await
    }
}
