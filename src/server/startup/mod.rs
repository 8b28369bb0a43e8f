//! Startup before listening: keys, identity, schema, time zones, outbound connections, the root of local directories, and
//! the parts that run exports.

pub mod datasets;
pub mod identity;
pub mod keys;
pub mod local_directory;
pub mod outbound;
pub mod runs;
pub mod schema;
pub mod time_zones;
