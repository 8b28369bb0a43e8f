//! Settings of PostgreSQL, by URL or separately, and the check of its first connection.

mod check;
mod diagnosis;
mod error;
mod parameters;
mod settings;
mod text;
mod url;

pub use check::{CheckError, check_connection};
pub use error::PostgresUrlError;
pub use settings::{PostgresSettings, guard_statement};
pub use url::parse;

#[cfg(test)]
pub use settings::Address;
