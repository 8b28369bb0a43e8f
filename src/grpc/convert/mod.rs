//! Conversions between messages and the types of the application. Every request is parsed here, and every violation of
//! its form is reported at once.

pub mod audit_events;
pub mod blocking_exports;
pub mod callers;
mod checks;
pub mod connection_tests;
pub mod connection_types;
pub mod connections;
pub mod datasets;
pub mod exports;
mod field_mask;
mod field_spec;
#[cfg(test)]
mod fuzzed;
mod lists;
mod payload;
pub mod previews;
pub mod runs;
pub mod schedule;
mod validator;
mod values;

pub use validator::{accept, accept_draft, accept_mutation};
