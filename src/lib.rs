//! Outflow governs what data leaves a platform: administrators decide where it may go, contributors what goes and how
//! often, and nothing in use can be broken.
//!
//! # The house
//!
//! | Room | What it is |
//! |---|---|
//! | [`model`] | plain data and pure rules: ids, callers, connections, exports, schedules, errors |
//! | [`catalog`] | the connection types: one data file each, and the checks against them |
//! | [`vault`] | seals and opens credentials |
//! | [`identity`] | verifies tokens |
//! | [`store`] | the database; the only place that names SeaORM |
//! | [`app`] | one method for each RPC; where the rules of the domain read like rules |
//! | [`grpc`] | the wire; the only place, with `server`, that names tonic and prost |
//! | [`server`] | wiring: settings become a server that can be stopped |
//! | [`config`], [`telemetry`], [`commands`] | settings, logs, the binary's subcommands |
//!
//! # Who may import whom
//!
//! `grpc → {app, catalog, vault, identity}`, `app → {store, vault, catalog}`, and all of them `→ model`; `config` and
//! `telemetry` are read by `server` and `commands` alone. Nothing points back; a test reads the imports and holds this.
//!
//! # What always holds
//!
//! - A connection in use cannot be removed: its row's lock orders removal against every attachment, and a foreign key
//!   stands behind it.
//! - Whoever changes a connection, its sharing, its credential or what is attached to it locks the connection's row
//!   first; then exports, by ascending uid. What a lock guards is read by a later statement.
//! - Every change is one transaction, with its audit entries and its request id, in a task of its own.
//! - No row is read or written without its organization; every foreign key holds the organization too.
//! - A secret is sealed before it is stored and bound to where it may be sent; no answer can hold it.

pub mod app;
pub mod catalog;
pub mod commands;
pub mod config;
pub mod grpc;
pub mod identity;
pub mod model;
mod private_file;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod vault;
