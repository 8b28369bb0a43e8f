//! The audit log.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum AuditEvents {
    Table,
    Organization,
    Uid,
    Time,
    Principal,
    Roles,
    Method,
    Resource,
    ResourceUid,
    ResourceDisplayName,
    ChangedFields,
    Before,
    After,
    DeniedCode,
    DeniedMinute,
    Count,
    CallId,
    TraceId,
    BatchId,
    Reason,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(AuditEvents::Table)
            .col(text(manager, AuditEvents::Organization).not_null())
            .col(ColumnDef::new(AuditEvents::Uid).uuid().not_null())
            .col(ColumnDef::new(AuditEvents::Time).timestamp_with_time_zone().not_null())
            .col(text(manager, AuditEvents::Principal).not_null())
            .col(ColumnDef::new(AuditEvents::Roles).json_binary().not_null())
            .col(text(manager, AuditEvents::Method).not_null())
            .col(text(manager, AuditEvents::Resource).not_null())
            .col(ColumnDef::new(AuditEvents::ResourceUid).uuid())
            .col(text(manager, AuditEvents::ResourceDisplayName).not_null())
            .col(ColumnDef::new(AuditEvents::ChangedFields).json_binary().not_null())
            .col(ColumnDef::new(AuditEvents::Before).json_binary().not_null())
            .col(ColumnDef::new(AuditEvents::After).json_binary().not_null())
            .col(text(manager, AuditEvents::DeniedCode))
            .col(ColumnDef::new(AuditEvents::DeniedMinute).big_integer())
            .col(ColumnDef::new(AuditEvents::Count).big_integer().not_null())
            .col(text(manager, AuditEvents::CallId).not_null())
            .col(text(manager, AuditEvents::TraceId))
            .col(ColumnDef::new(AuditEvents::BatchId).uuid())
            .col(text(manager, AuditEvents::Reason).not_null())
            .primary_key(Index::create().col(AuditEvents::Organization).col(AuditEvents::Uid))
            .take();
        manager.create_table(table).await?;
        indexes(manager).await
    }
}

async fn indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use AuditEvents::{DeniedCode, DeniedMinute, Method, Organization, Principal, Resource, Time, Uid};
    for (name, columns) in [
        ("audit_events_resource", vec![Organization, Resource, Uid]),
        ("audit_events_principal", vec![Organization, Principal, Uid]),
        ("audit_events_method", vec![Organization, Method, Uid]),
        ("audit_events_time", vec![Time]),
    ] {
        manager.create_index(index(name, columns)).await?;
    }
    // Most events are changes; the partial index contains only denied attempts.
    let denied = index("audit_events_denied", [Organization, Principal, Method, DeniedCode, DeniedMinute])
        .unique()
        .and_where(Expr::col(DeniedCode).is_not_null())
        .take();
    manager.create_index(denied).await
}

fn index(name: &str, columns: impl IntoIterator<Item = AuditEvents>) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(AuditEvents::Table);
    for column in columns {
        index.col(column);
    }
    index
}
