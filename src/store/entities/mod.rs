//! The tables as SeaORM sees them, one file each; nothing outside the store names them.

pub mod attachment_release;
pub mod audit_event;
pub mod connection;
pub mod connection_member;
pub mod credential;
pub mod export;
pub mod request_id;
pub mod sealed_secret;
