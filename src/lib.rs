//! Outflow governs what data leaves a platform: administrators decide where it may go, contributors decide what goes and
//! how often, and nothing that is in use can be removed.
//!
//! # Modules
//!
//! | Module | What it does |
//! |---|---|
//! | [`model`] | plain data and pure rules: ids, callers, contexts, connections, exports, schedules, errors |
//! | [`catalog`] | the connection types, one data file each, and the checks against them |
//! | [`vault`] | seals and opens credentials |
//! | [`identity`] | verifies tokens |
//! | [`store`] | the database; the only module that names SeaORM |
//! | [`app`] | the operations, one file per RPC, where the rules of the domain are enforced |
//! | [`background`] | background tasks and their supervisor |
//! | [`grpc`] | middleware, services, conversions; names tonic and prost, as `server` and `telemetry` do |
//! | [`server`] | wiring: the configuration becomes a server that can be stopped |
//! | [`config`], [`telemetry`], [`cli`] | settings; logs, metrics and traces; the subcommands of the binary |
//!
//! # Dependencies
//!
//! `cli → server → {grpc, background}`, `grpc → {app, identity, catalog, vault}`, `background → {app, store, identity}`,
//! `app → {store, vault, catalog}`. Every module may read `model`; `config` and `telemetry` are read by `server` and `cli`
//! alone. There is no import cycle between files. A test reads the imports and enforces both.
//!
//! # A call
//!
//! The middleware logs the call, authenticates its caller, checks the role of the method and acquires a permit. The
//! interceptor makes an [`OpContext`](model::OpContext) of it. The handler converts the request and calls one operation of
//! the [`App`](app::App). A change is a [`Mutation`](app::Mutation): one transaction with its idempotency key, its audit
//! events and its response.
//!
//! # Invariants
//!
//! - A connection in use cannot be deleted: the lock of its row orders deletion against every attachment, and a foreign key
//!   backs it.
//! - A change of a connection, of its sharing, of its credential or of what is attached to it locks the row of the
//!   connection first; then those of exports, by ascending uid. Guarded data is read in a later statement.
//! - A change is one transaction, with its audit events and its idempotency key, in its own task.
//! - No row is read or written without its organization; every foreign key includes the organization.
//! - A secret is sealed before it is stored and bound to where it may be sent; no response can hold it.
//!
//! # Glossary
//!
//! | Term | Meaning |
//! |---|---|
//! | organization | the tenant; every resource but the catalog belongs to exactly one |
//! | connection | a configured link to one external service, with a sealed credential |
//! | export | a payload, a schedule and destination settings that use a connection |
//! | attached, detached | an attached export has a connection; a detached one keeps its configuration and does not run |
//! | usable connection | one that a contributor may use: shared with all contributors, with it, or with one of its groups |
//! | manager | who may change an export: an administrator, or a contributor who can use its connection |
//! | blocking export | an export attached to a connection that is to be deleted |
//! | blocking set | all of them, as of an attachment revision, which `blocking_set_etag` names |
//! | binding field | a field of a connection that decides where or as whom the service connects |

pub mod app;
pub mod background;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod grpc;
pub mod identity;
pub mod model;
mod private_file;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod vault;
