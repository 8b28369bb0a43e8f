//! Integration tests: a server on a socket, generated clients, and both databases.

#![expect(clippy::expect_used, reason = "a panic fails the test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "every other variant fails the test")]

mod architecture;
mod audit;
mod audit_feed;
mod authz_matrix;
mod connections;
mod crash;
mod denied_attempts;
mod destinations;
mod exports;
mod far_side;
mod faults;
mod flood;
mod idempotent;
mod leak;
mod lifecycle_model;
mod outages;
mod races;
mod runs;
mod scale;
mod server;
mod support;
mod tenant;
