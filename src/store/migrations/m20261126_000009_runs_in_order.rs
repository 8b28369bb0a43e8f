//! The queue of runs in the whole order of leases, so that the first run that may start is found without sorting.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Runs {
    Table,
    Organization,
    State,
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
            .and_where(Expr::col(Runs::State).is_in([SimpleExpr::Constant("QUEUED".into())]))
            .take();
        manager.create_index(queue).await
    }
}
