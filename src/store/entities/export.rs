//! `exports`: one row per export, attached (`connection_uid`) or detached (`detached_*`).

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "exports")]
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
    /// Type of the connection; kept when detached.
    pub connection_type: String,
    pub connection_uid: Option<Uuid>,
    /// Position of the attachment in the connection's sequence of attachments and releases.
    pub attached_revision: Option<i64>,
    pub detached_connection_uid: Option<Uuid>,
    pub detached_connection_id: Option<String>,
    pub detached_connection_display_name: Option<String>,
    pub detached_batch_id: Option<Uuid>,
    pub detached_principal: Option<String>,
    pub detached_time: Option<DateTimeUtc>,
    pub detached_reason: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub payload: Json,
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub schedule: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub destination_settings: Json,
    /// Next due time of the schedule, ignoring the state of the export.
    pub next_due_time: Option<DateTimeUtc>,
    #[sea_orm(column_type = "JsonBinary")]
    pub labels: Json,
    pub creator: String,
    pub create_time: DateTimeUtc,
    pub updater: String,
    pub update_time: DateTimeUtc,
    pub revision: i64,
    /// Runs in a row that failed.
    pub consecutive_failures: i32,
    /// Since when the schedule is paused because of failed runs.
    pub schedule_pause_time: Option<DateTimeUtc>,
    /// The path of its file in all runs, with the same text for each date and time; unique on its connection.
    pub file_name: Option<String>,
    /// `user:<principal>` or `group:<name>`; null: the creator.
    pub owner: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::connection::Entity",
        from = "(Column::Organization, Column::ConnectionUid)",
        to = "(super::connection::Column::Organization, super::connection::Column::Uid)"
    )]
    Connection,
}

impl Related<super::connection::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Connection.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
