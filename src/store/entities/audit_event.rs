//! `audit_events`: the audit log. A row of denied attempts has a code and a minute, by which it is aggregated.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub uid: Uuid,
    pub time: DateTimeUtc,
    pub principal: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub roles: Json,
    pub method: String,
    pub resource: String,
    pub resource_uid: Option<Uuid>,
    pub resource_display_name: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub changed_fields: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub before: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub after: Json,
    /// For denied attempts only: gRPC status code.
    pub denied_code: Option<String>,
    /// For denied attempts only: minutes since 1970-01-01T00:00Z.
    pub denied_minute: Option<i64>,
    pub count: i64,
    pub call_id: String,
    pub trace_id: Option<String>,
    pub batch_id: Option<Uuid>,
    pub reason: String,
    /// Position in the order of commits. The database sets it.
    pub feed_position: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
