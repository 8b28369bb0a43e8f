//! Startup before listening: keys, identity, schema, time zones, outbound connections.

pub mod identity;
pub mod keys;
pub mod outbound;
pub mod schema;
pub mod time_zones;
