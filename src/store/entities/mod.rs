//! SeaORM entities, one per table; private to the store.

pub mod attachment_release;
pub mod audit_event;
pub mod connection;
pub mod connection_member;
pub mod credential;
pub mod export;
pub mod request_id;
pub mod run;
pub mod sealed_secret;
