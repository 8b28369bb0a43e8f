//! Plain data and pure rules: no I/O, no wire types, no database types.
//!
//! Everything else may read this module; it reads nothing but itself.

pub mod audit;
mod call;
mod clock;
mod connection;
mod cursor;
mod error;
mod export;
mod id;
pub mod limits;
pub mod page;
mod payload;
pub mod schedule;
pub mod text;
pub mod token;

pub use call::{Call, Caller, Mutation, Role};
pub use clock::Clock;
pub use connection::{
    Availability, Connection, ConnectionFilter, ConnectionState, CredentialStatus, Member, Sharing, UsableConnection,
    check_member_count,
};
pub use cursor::Cursor;
pub use error::{
    Abort, Blocker, Error, Exhausted, FieldViolation, Invalid, ResourceKind, Precondition, Result, Unavailable, Violations,
};
pub use export::{
    Attachment, CallerAccess, Detachment, Export, ExportFilter, ExportState, AttachmentState, ReleaseCause, due_time_after,
};
pub use id::{ConnectionName, ConnectionUid, ExportName, ExportUid, OrganizationId, ResourceId, ConnectionTypeId, is_identifier};
pub use payload::{Comparison, Payload, PayloadField, PayloadFilter, PayloadTable, Transform};
