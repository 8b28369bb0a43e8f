//! The database. Only this module uses SeaORM.
//!
//! Functions are free and small. They take a pool or a transaction and the scope of an organization, and return model
//! types, not entities. A missing row is `None`; authorization is decided in `app`.

pub mod attachments;
pub mod audit_events;
pub mod blocking_exports;
mod connect;
pub mod connection_counts;
mod connection_rows;
pub mod connections;
pub mod credentials;
mod database;
mod display_names;
mod entities;
mod error;
mod export_rows;
pub mod exports;
mod migrate;
mod migrations;
pub mod organizations;
mod pool;
mod postgres;
mod query;
pub mod request_ids;
pub mod retention;
pub mod runs;
pub mod sealed_secrets;
mod session;
mod statement;
mod target;
mod transaction;
mod uninterrupted;

pub use connect::BACKGROUND_CONNECTIONS;
pub use database::Store;
pub use migrate::{MigrateError, SchemaState};
pub use pool::{PoolStatus, Reader};
pub use query::locks;
pub use query::scope::{ReadContext, Scope};
pub use query::time::database_time;
pub use retention::Retention;
pub use target::{ConnectError, DatabaseSettings, DatabaseSource};
pub use transaction::{OnSuccess, Transaction};
