//! The tests: a real server on a socket, generated clients, both databases.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test that sees anything else than it waits for fails")]

mod architecture;
mod audit;
mod authz_matrix;
mod connections;
mod exports;
mod faults;

mod idempotent;
mod leak;
mod lifecycle_model;
mod races;
mod server;
mod support;
mod tenant;
