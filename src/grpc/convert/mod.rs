//! From the wire and back: everything is checked here, and all that is wrong is said at once.

mod audit;
mod connection;
mod export;
mod form;
mod lists;
mod payload;
mod schedule;
mod stream;
mod types;
mod values;

pub use audit::{audit_event_to_proto, list_audit_events};
pub use connection::{
    connection_to_proto, create_connection, list_connections, rotate_credential, share, update_connection,
    usable_to_proto,
};
pub use export::{
    attach_export, create_export, duplicate_export, export_to_proto, list_exports, outcome_to_proto, update_export,
};
pub use form::{Form, open, open_change};
pub use lists::{list_types, search_usable, types_page_token};
pub use schedule::{occurrence_to_proto, preview_schedule, schedule_change};
pub use stream::message_to_proto;
pub use types::type_to_proto;
