//! Startup before listening: keys, identity, schema.

pub mod identity;
pub mod keys;
pub mod schema;
