//! Startup before listening: keys, identity, schema, time zones.

pub mod datasets;
pub mod identity;
pub mod keys;
pub mod schema;
pub mod time_zones;
