//! Conversions between messages and the types of the application. Every request is parsed here, and every violation of
//! its form is reported at once.

mod audit_events;
mod blocking_exports;
mod connection_types;
mod connections;
mod exports;
mod field_mask;
mod lists;
mod payload;
mod schedule;
mod validator;
mod values;

pub use audit_events::{audit_event_to_proto, list_audit_events};
pub use blocking_exports::{message_to_proto, stream_blocking_exports};
pub use connection_types::{connection_type_to_proto, get_connection_type, list_connection_types, types_page_token};
pub use connections::{
    connection_to_proto, create_connection, delete_connection, get_connection, list_connections, resume_connection,
    revoke_connection_credential, rotate_connection_credential, search_usable_connections, share_connection,
    suspend_connection, unshare_connection, update_connection, usable_to_proto,
};
pub use exports::{
    attach_export, batch_attach_exports, batch_delete_exports, batch_detach_exports, batch_update_export_schedules,
    create_export, delete_export, detach_export, duplicate_export, export_to_proto, get_export, list_exports,
    outcome_to_proto, update_export,
};
pub use schedule::{occurrence_to_proto, preview_schedule};
pub use validator::{accept, accept_mutation};
