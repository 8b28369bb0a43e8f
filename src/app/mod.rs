//! The operations of the service, where the rules of the domain are enforced: one file per RPC or per pair of RPCs.
//!
//! The middleware has checked the role of the caller. An operation checks the permission on the resource and makes its
//! change in one transaction. It contains neither SQL nor gRPC types.

mod audit;
mod audit_events;
mod connection_types;
pub mod connections;
pub mod datasets;
mod denied_attempts;
pub mod exports;
mod mutation;
mod quotas;
mod rate_limit;
pub mod runs;
mod state;
mod streams;

pub use connection_types::CatalogEntry;
pub use denied_attempts::{DeniedAttempt, TASK as DENIED_ATTEMPTS_TASK};
pub use mutation::{Affected, Mutation, MutationTx, ReadBack};
pub use quotas::Quotas;
pub use state::{App, Parts};
