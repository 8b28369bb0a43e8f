//! `runs`: one row per run, and one for each stretch of skipped due times.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub uid: Uuid,
    pub export_uid: Uuid,
    pub export_display_name: String,
    pub connection_uid: Uuid,
    pub connection_id: String,
    pub connection_type: String,
    pub state: String,
    pub trigger: String,
    pub skip_reason: Option<String>,
    /// How many due times it stands for; more than one only if they were skipped.
    pub due_count: i64,
    pub principal: String,
    pub schedule_time: Option<DateTimeUtc>,
    pub last_schedule_time: Option<DateTimeUtc>,
    pub create_time: DateTimeUtc,
    pub start_time: Option<DateTimeUtc>,
    pub end_time: Option<DateTimeUtc>,
    pub export_revision: i64,
    /// Number of leases so far: the fence of the current one.
    pub attempt: i64,
    /// Attempts that failed.
    pub failures: i64,
    /// Leases that expired or were given back.
    pub releases: i64,
    pub next_attempt_time: Option<DateTimeUtc>,
    /// The replica that holds the lease.
    pub lease_owner: Option<Uuid>,
    pub lease_expire_time: Option<DateTimeUtc>,
    pub rows_read: i64,
    pub rows_written: i64,
    pub bytes_written: i64,
    pub files: i64,
    pub rows_estimated: Option<i64>,
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
    /// What the attempts of the run share, such as the ids of uploads.
    pub delivery_state: Option<String>,
    /// W3C trace context of the call that started it.
    pub trace_parent: Option<String>,
    /// The format of what its attempts store and of the export that they read. Replicas that do not know it do not lease it.
    pub format_version: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::export::Entity",
        from = "(Column::Organization, Column::ExportUid)",
        to = "(super::export::Column::Organization, super::export::Column::Uid)"
    )]
    Export,
    #[sea_orm(
        belongs_to = "super::connection::Entity",
        from = "(Column::Organization, Column::ConnectionUid)",
        to = "(super::connection::Column::Organization, super::connection::Column::Uid)"
    )]
    Connection,
}

impl ActiveModelBehavior for ActiveModel {}
