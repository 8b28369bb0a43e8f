//! PostgreSQL, over TLS.

pub mod fixture;
mod interruptions;
mod refusals;
mod rows;
