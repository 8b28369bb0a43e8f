//! `sealed_secrets`: the service's own sealed rows: the key that digests requests, and a canary for each key.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sealed_secrets")]
pub struct Model {
    /// What it is for; bound into the envelope.
    #[sea_orm(primary_key, auto_increment = false)]
    pub purpose: String,
    /// Which key of the ring sealed it.
    pub key_id: String,
    pub envelope: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
