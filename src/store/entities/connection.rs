//! `connections`: one row per connection, including metadata of its credential and counters of its attachments.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "connections")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub uid: Uuid,
    pub id: String,
    pub display_name: String,
    /// The display name lower-cased in Rust, because the two databases fold case differently.
    pub display_name_search: String,
    pub description: String,
    pub connection_type: String,
    pub schema_version: i32,
    #[sea_orm(column_type = "JsonBinary")]
    pub properties: Json,
    /// Whether the type required a credential when the connection was last saved.
    pub needs_credential: bool,
    pub credential_auth_method: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub credential_set_fields: Json,
    pub credential_revision: i64,
    pub credential_set_time: Option<DateTimeUtc>,
    pub credential_expire_time: Option<DateTimeUtc>,
    pub shared_with_all: bool,
    pub suspended: bool,
    pub suspend_reason: String,
    pub attached_export_count: i64,
    pub attachment_revision: i64,
    pub last_attached_revision: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub labels: Json,
    pub creator: String,
    pub create_time: DateTimeUtc,
    pub updater: String,
    pub update_time: DateTimeUtc,
    pub revision: i64,
    /// Result of the last test of the current properties and credential.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub last_test: Option<Json>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
