//! The files of connection types: parsed, and checked before they become types.

mod connection_type;
mod field;
mod text;

pub use connection_type::read_type;
