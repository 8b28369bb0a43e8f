//! Plain data and pure rules: no I/O, no wire types, no database types.
//!
//! Other modules may depend on this one; it depends on none of them.

pub mod audit;
mod caller;
mod cannot_run;
mod claim_path;
mod clock;
mod connection;
mod context;
mod cursor;
mod database;
mod dataset;
mod entra;
mod error;
mod excerpt;
mod export;
mod failure;
mod filter_value;
#[cfg(test)]
mod fuzzed;
mod id;
mod invalid_request;
mod issuer;
pub mod json;
pub mod limits;
mod member;
mod outbound;
pub mod page;
mod payload;
mod payload_check;
mod run;
pub mod schedule;
mod secret;
pub mod token;
pub mod validate;
mod violations;

pub use caller::{Caller, Role};
pub use cannot_run::CannotRun;
pub use claim_path::ClaimPath;
pub use clock::Clock;
pub use connection::{
    Availability, Connection, ConnectionFilter, ConnectionState, CredentialStatus, LastTest, Sharing, UsableConnection,
    check_member_count,
};
pub use context::{Actor, IdempotencyKey, OpContext, SYSTEM_PREFIX, TraceParent};
pub use cursor::Cursor;
pub use database::{DatabaseLogin, POSTGRES_PORT, Pooler, SslMode};
pub use dataset::{Dataset, DatasetField, DatasetName, FieldType, is_dataset_name};
pub use entra::EntraTenants;
pub use error::{
    Abort, Blocker, Error, Exhausted, Invalid, Precondition, ResourceKind, Result, ShareLimit, Unavailable,
};
pub use excerpt::{Escaped, excerpt, is_unsafe};
pub use export::{
    Attachment, AttachmentState, CallerAccess, Detachment, Export, ExportFilter, ExportState, LastRun, ReleaseCause,
    SchedulePause, due_time_after,
};
pub use failure::{Check, CheckOutcome, CheckStep, FailureCode};
pub use filter_value::{FilterMismatch, FilterValue, TypedFilter, parse_decimal};
pub use id::{
    ConnectionName, ConnectionTypeId, ConnectionUid, ExportName, ExportUid, OrganizationId, ResourceId, is_identifier,
};
pub use invalid_request::InvalidRequest;
pub use issuer::IssuerSettings;
pub use member::Member;
pub use outbound::{AddressRange, OutboundAllowance};
pub use payload::{Comparison, Payload, PayloadCounts, PayloadField, PayloadFilter, PayloadTable, Transform};
pub use payload_check::{KnownDatasets, close_matches};
pub use run::{Run, RunEvent, RunFailure, RunFilter, RunName, RunState, RunStats, RunTrigger, SkipReason};
pub use secret::{CredentialSecret, SealedSecret, Secret};
pub use violations::{FieldViolation, Violations};
