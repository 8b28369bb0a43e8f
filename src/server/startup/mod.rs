//! Startup before listening: keys, identity, schema, time zones, the root of local directories.

pub mod identity;
pub mod keys;
pub mod local_directory;
pub mod runs;
pub mod schema;
pub mod time_zones;
