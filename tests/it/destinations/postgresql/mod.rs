//! PostgreSQL, over TLS.

mod fixture;
mod interruptions;
mod refusals;
mod rows;
