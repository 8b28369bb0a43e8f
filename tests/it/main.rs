//! The tests: a real server on a socket, generated clients, both databases.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod audit;
mod authz_matrix;
mod connections;
mod exports;
mod faults;
mod house;
mod idempotent;
mod races;
mod server;
mod support;
mod tenant;
