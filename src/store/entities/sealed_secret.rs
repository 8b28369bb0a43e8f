//! `sealed_secrets`: sealed secrets of the service: the key for request digests, and a canary per key.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sealed_secrets")]
pub struct Model {
    /// Purpose of the secret; authenticated by the envelope.
    #[sea_orm(primary_key, auto_increment = false)]
    pub purpose: String,
    /// Id of the key that sealed it.
    pub key_id: String,
    pub envelope: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
