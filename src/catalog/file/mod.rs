//! Parses and validates the files of connection types.

mod connection_type;
mod field;
mod references;
mod text;

pub use connection_type::read_type;
