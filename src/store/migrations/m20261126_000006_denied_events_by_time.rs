//! An index of denied attempts by time, for their retention, which is shorter than that of other events.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum AuditEvents {
    Table,
    Time,
    DeniedCode,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let denied = Index::create()
            .name("audit_events_denied_time")
            .table(AuditEvents::Table)
            .col(AuditEvents::Time)
            .and_where(Expr::col(AuditEvents::DeniedCode).is_not_null())
            .take();
        manager.create_index(denied).await
    }
}
