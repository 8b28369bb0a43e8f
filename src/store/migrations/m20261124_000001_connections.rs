//! Connections, their members and their sealed credentials.

use sea_orm_migration::prelude::*;

use super::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[derive(DeriveIden)]
enum Connections {
    Table,
    Organization,
    Uid,
    Id,
    DisplayName,
    DisplayNameSearch,
    Description,
    ConnectionType,
    SchemaVersion,
    Properties,
    NeedsCredential,
    CredentialAuthMethod,
    CredentialSetFields,
    CredentialRevision,
    CredentialSetTime,
    CredentialExpireTime,
    SharedWithAll,
    Suspended,
    SuspendReason,
    AttachedExportCount,
    AttachmentRevision,
    LastAttachedRevision,
    Labels,
    Creator,
    CreateTime,
    Updater,
    UpdateTime,
    Revision,
}

#[derive(DeriveIden)]
enum ConnectionMembers {
    Table,
    Organization,
    ConnectionUid,
    Member,
}

#[derive(DeriveIden)]
enum Credentials {
    Table,
    Organization,
    ConnectionUid,
    Revision,
    KeyId,
    Envelope,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        connections(manager).await?;
        for (name, columns) in [
            ("connections_id", vec![Connections::Organization, Connections::Id]),
            ("connections_display_name", vec![Connections::Organization, Connections::DisplayName, Connections::Uid]),
            ("connections_update_time", vec![Connections::Organization, Connections::UpdateTime, Connections::Uid]),
        ] {
            let mut index = Index::create();
            index.name(name).table(Connections::Table);
            for column in columns {
                index.col(column);
            }
            if name == "connections_id" {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        members(manager).await?;
        credentials(manager).await
    }
}

async fn connections(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Connections::Table)
        .col(text(manager, Connections::Organization).not_null())
        .col(ColumnDef::new(Connections::Uid).uuid().not_null())
        .col(text(manager, Connections::Id).not_null())
        .col(text(manager, Connections::DisplayName).not_null())
        .col(text(manager, Connections::DisplayNameSearch).not_null())
        .col(text(manager, Connections::Description).not_null())
        .col(text(manager, Connections::ConnectionType).not_null())
        .col(ColumnDef::new(Connections::SchemaVersion).integer().not_null())
        .col(ColumnDef::new(Connections::Properties).json_binary().not_null())
        .col(ColumnDef::new(Connections::NeedsCredential).boolean().not_null())
        .col(text(manager, Connections::CredentialAuthMethod))
        .col(ColumnDef::new(Connections::CredentialSetFields).json_binary().not_null())
        .col(ColumnDef::new(Connections::CredentialRevision).big_integer().not_null())
        .col(ColumnDef::new(Connections::CredentialSetTime).timestamp_with_time_zone())
        .col(ColumnDef::new(Connections::CredentialExpireTime).timestamp_with_time_zone())
        .col(ColumnDef::new(Connections::SharedWithAll).boolean().not_null())
        .col(ColumnDef::new(Connections::Suspended).boolean().not_null())
        .col(text(manager, Connections::SuspendReason).not_null())
        .col(ColumnDef::new(Connections::AttachedExportCount).big_integer().not_null())
        .col(ColumnDef::new(Connections::AttachmentRevision).big_integer().not_null())
        .col(ColumnDef::new(Connections::LastAttachedRevision).big_integer().not_null())
        .col(ColumnDef::new(Connections::Labels).json_binary().not_null())
        .col(text(manager, Connections::Creator).not_null())
        .col(ColumnDef::new(Connections::CreateTime).timestamp_with_time_zone().not_null())
        .col(text(manager, Connections::Updater).not_null())
        .col(ColumnDef::new(Connections::UpdateTime).timestamp_with_time_zone().not_null())
        .col(ColumnDef::new(Connections::Revision).big_integer().not_null())
        .primary_key(Index::create().col(Connections::Organization).col(Connections::Uid))
        .check(Expr::col(Connections::AttachedExportCount).gte(0))
        .check(Expr::col(Connections::LastAttachedRevision).lte(Expr::col(Connections::AttachmentRevision)))
        .take();
    manager.create_table(table).await
}

async fn members(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(ConnectionMembers::Table)
        .col(text(manager, ConnectionMembers::Organization).not_null())
        .col(ColumnDef::new(ConnectionMembers::ConnectionUid).uuid().not_null())
        .col(text(manager, ConnectionMembers::Member).not_null())
        .primary_key(
            Index::create()
                .col(ConnectionMembers::Organization)
                .col(ConnectionMembers::ConnectionUid)
                .col(ConnectionMembers::Member),
        )
        .foreign_key(
            ForeignKey::create()
                .from(ConnectionMembers::Table, (ConnectionMembers::Organization, ConnectionMembers::ConnectionUid))
                .to(Connections::Table, (Connections::Organization, Connections::Uid)),
        )
        .take();
    manager.create_table(table).await?;
    let by_member = Index::create()
        .name("connection_members_member")
        .table(ConnectionMembers::Table)
        .col(ConnectionMembers::Organization)
        .col(ConnectionMembers::Member)
        .col(ConnectionMembers::ConnectionUid)
        .take();
    manager.create_index(by_member).await
}

async fn credentials(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table(Credentials::Table)
        .col(text(manager, Credentials::Organization).not_null())
        .col(ColumnDef::new(Credentials::ConnectionUid).uuid().not_null())
        .col(ColumnDef::new(Credentials::Revision).big_integer().not_null())
        .col(text(manager, Credentials::KeyId).not_null())
        .col(ColumnDef::new(Credentials::Envelope).blob().not_null())
        .primary_key(Index::create().col(Credentials::Organization).col(Credentials::ConnectionUid))
        .foreign_key(
            ForeignKey::create()
                .from(Credentials::Table, (Credentials::Organization, Credentials::ConnectionUid))
                .to(Connections::Table, (Connections::Organization, Connections::Uid)),
        )
        .take();
    manager.create_table(table).await
}
