//! `attachment_releases`: exports released from a connection, kept for one day for streams.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attachment_releases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_uid: Uuid,
    /// Position in the connection's sequence of attachments and releases.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    pub export_id: String,
    pub cause: String,
    pub release_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
