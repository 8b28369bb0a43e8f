//! What a server prepares before it listens: keys, identity, schema.

pub mod identity;
pub mod keys;
pub mod schema;
