//! Exports, and their releases from connections.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Connections {
    Table,
    Organization,
    Uid,
}

#[derive(Clone, Copy, DeriveIden)]
enum Exports {
    Table,
    Organization,
    Uid,
    Id,
    DisplayName,
    DisplayNameSearch,
    Description,
    ConnectionType,
    ConnectionUid,
    AttachedRevision,
    DetachedConnectionUid,
    DetachedConnectionId,
    DetachedConnectionDisplayName,
    DetachedBatchId,
    DetachedPrincipal,
    DetachedTime,
    DetachedReason,
    Payload,
    Schedule,
    DestinationSettings,
    NextDueTime,
    Labels,
    Creator,
    CreateTime,
    Updater,
    UpdateTime,
    Revision,
}

#[derive(DeriveIden)]
enum AttachmentReleases {
    Table,
    Organization,
    ConnectionUid,
    Revision,
    ExportId,
    Cause,
    ReleaseTime,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        exports(manager).await?;
        indexes(manager).await?;
        releases(manager).await
    }
}

async fn exports(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    // Either attached or detached.
    let attached = Expr::col(Exports::ConnectionUid)
        .is_not_null()
        .and(Expr::col(Exports::AttachedRevision).is_not_null())
        .and(Expr::col(Exports::DetachedConnectionUid).is_null());
    let detached = Expr::col(Exports::ConnectionUid)
        .is_null()
        .and(Expr::col(Exports::AttachedRevision).is_null())
        .and(Expr::col(Exports::DetachedConnectionUid).is_not_null());
    let table = Table::create()
        .table(Exports::Table)
        .col(text(manager, Exports::Organization).not_null())
        .col(ColumnDef::new(Exports::Uid).uuid().not_null())
        .col(text(manager, Exports::Id).not_null())
        .col(text(manager, Exports::DisplayName).not_null())
        .col(text(manager, Exports::DisplayNameSearch).not_null())
        .col(text(manager, Exports::Description).not_null())
        .col(text(manager, Exports::ConnectionType).not_null())
        .col(ColumnDef::new(Exports::ConnectionUid).uuid())
        .col(ColumnDef::new(Exports::AttachedRevision).big_integer())
        .col(ColumnDef::new(Exports::DetachedConnectionUid).uuid())
        .col(text(manager, Exports::DetachedConnectionId))
        .col(text(manager, Exports::DetachedConnectionDisplayName))
        .col(ColumnDef::new(Exports::DetachedBatchId).uuid())
        .col(text(manager, Exports::DetachedPrincipal))
        .col(ColumnDef::new(Exports::DetachedTime).timestamp_with_time_zone())
        .col(text(manager, Exports::DetachedReason))
        .col(ColumnDef::new(Exports::Payload).json_binary().not_null())
        .col(ColumnDef::new(Exports::Schedule).json_binary())
        .col(ColumnDef::new(Exports::DestinationSettings).json_binary().not_null())
        .col(ColumnDef::new(Exports::NextDueTime).timestamp_with_time_zone())
        .col(ColumnDef::new(Exports::Labels).json_binary().not_null())
        .col(text(manager, Exports::Creator).not_null())
        .col(ColumnDef::new(Exports::CreateTime).timestamp_with_time_zone().not_null())
        .col(text(manager, Exports::Updater).not_null())
        .col(ColumnDef::new(Exports::UpdateTime).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(Exports::Revision).big_integer().not_null())
        .primary_key(Index::create().col(Exports::Organization).col(Exports::Uid))
        .foreign_key(
            // NO ACTION: a connection with attached exports cannot be deleted, regardless of checks in code.
            ForeignKey::create()
                .from(Exports::Table, (Exports::Organization, Exports::ConnectionUid))
                .to(Connections::Table, (Connections::Organization, Connections::Uid)),
        )
        .check(attached.or(detached))
        .take();
    manager.create_table(table).await
}

async fn indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use Exports::{
        AttachedRevision, ConnectionUid, Creator, DetachedBatchId, DetachedConnectionId, DisplayName, Id, Uid,
        UpdateTime,
    };
    for (name, columns) in [
        ("exports_connection", [ConnectionUid, Uid]),
        ("exports_display_name", [DisplayName, Uid]),
        ("exports_update_time", [UpdateTime, Uid]),
        ("exports_creator", [Creator, Uid]),
    ] {
        manager.create_index(index(name, columns)).await?;
    }
    manager.create_index(index("exports_id", [Id]).unique().take()).await?;
    let attached = index("exports_attached_revision", [ConnectionUid, AttachedRevision]).unique().take();
    manager.create_index(attached).await?;
    // Most exports are attached; partial indexes contain only the detached ones.
    for (name, column) in
        [("exports_detached_batch", DetachedBatchId), ("exports_detached_connection", DetachedConnectionId)]
    {
        let detached = Expr::col(column).is_not_null();
        manager.create_index(index(name, [column, Uid]).and_where(detached).take()).await?;
    }
    Ok(())
}

/// An index of an organization's exports.
fn index(name: &str, columns: impl IntoIterator<Item = Exports>) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(Exports::Table).col(Exports::Organization);
    for column in columns {
        index.col(column);
    }
    index
}

async fn releases(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    // No foreign key: a stream may still have to report releases after the connection was deleted.
    let table = Table::create()
        .table(AttachmentReleases::Table)
        .col(text(manager, AttachmentReleases::Organization).not_null())
        .col(ColumnDef::new(AttachmentReleases::ConnectionUid).uuid().not_null())
        .col(ColumnDef::new(AttachmentReleases::Revision).big_integer().not_null())
        .col(text(manager, AttachmentReleases::ExportId).not_null())
        .col(text(manager, AttachmentReleases::Cause).not_null())
        .col(ColumnDef::new(AttachmentReleases::ReleaseTime).timestamp_with_time_zone().not_null())
        .primary_key(
            Index::create()
                .col(AttachmentReleases::Organization)
                .col(AttachmentReleases::ConnectionUid)
                .col(AttachmentReleases::Revision),
        )
        .check(Expr::col(AttachmentReleases::Cause).is_in(["DETACHED", "MOVED", "REMOVED"]))
        .take();
    manager.create_table(table).await?;
    let by_time = Index::create()
        .name("attachment_releases_time")
        .table(AttachmentReleases::Table)
        .col(AttachmentReleases::ReleaseTime)
        .take();
    manager.create_index(by_time).await
}
