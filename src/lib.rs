//! Outflow governs what data leaves a platform. Administrators configure connections to external services, contributors
//! create exports that use them, and a connection cannot be deleted while an export uses it. It runs exports: it reads
//! datasets, transforms and encodes them, and writes the result to the destination.
//!
//! # Modules
//!
//! | Module | Contents |
//! |---|---|
//! | [`model`] | plain data and pure rules: ids, callers, contexts, connections, exports, schedules, runs, errors |
//! | [`catalog`] | the connection types, one data file each, and the checks against them |
//! | [`vault`] | seals and opens credentials |
//! | [`identity`] | verifies tokens and client certificates |
//! | [`dialer`] | every outbound connection, except to the database and the telemetry collector; checks addresses |
//! | [`delivery`] | reads datasets, transforms and encodes their rows, and writes them to destinations |
//! | `fair_share` | resources that callers share: calls, streams, database connections, memory |
//! | [`store`] | the database; the only module that uses SeaORM |
//! | [`app`] | the operations, one file per RPC or per pair of RPCs; enforces the rules of the domain |
//! | [`background`] | background tasks and their supervisor |
//! | [`runs`] | turns due times into runs, leases queued runs, and executes them |
//! | [`grpc`] | middleware, services and conversions of the gRPC API; the client of `outflow runs` |
//! | [`server`] | builds a server from the configuration, runs it and shuts it down |
//! | [`config`], [`telemetry`], [`cli`] | settings; logs, metrics and traces; the subcommands of the binary |
//!
//! # Dependencies
//!
//! `grpc → {app, identity, catalog, vault}`, `background → {app, store, identity}`, `app → {store, vault, catalog, delivery}`,
//! `runs → {app, background, delivery, store, vault, catalog}`, `delivery → {catalog, dialer}`, `identity → dialer`.
//! `grpc`, `app` and `store` depend on `fair_share`. `server` wires these modules together, and `cli → server`; no module
//! depends on these two, and only they depend on `config` and `telemetry`. Every module may depend on `model`. Files do not import each other in cycles.
//! `tests/it/architecture` enforces all of this.
//!
//! # A call
//!
//! The middleware logs the call, authenticates the caller, checks the role that the RPC requires, receives the message, and
//! acquires a share of the memory for messages and, for a unary call, a concurrency permit. It holds both until the response
//! was sent. The interceptor creates an [`OpContext`](model::OpContext) for the call. The handler
//! converts the request and calls one operation of the [`App`](app::App). An operation that changes something is a
//! [`Mutation`](app::Mutation): one transaction that includes its idempotency key, its audit events and its response. If the
//! form of a request is invalid and its type decides about more fields, the transaction is rolled back: it only finds the other
//! violations.
//!
//! # A run
//!
//! The scheduler inserts a run for a due time, and a caller one by RunExport. The dispatcher leases queued runs: the
//! statement that does so also checks that the export is attached and active. The number of the attempt is a condition of
//! every later write. The runner opens the datasets and the destination, lets the [`delivery`] engine copy the rows, renews
//! its lease while that goes on, and once more immediately before it commits.
//!
//! # Invariants
//!
//! - A connection in use cannot be deleted: deletion and attachment lock the row of the connection, and a foreign key
//!   prevents it as well.
//! - Changing a connection, its sharing, its credential or its attachments locks the row of the connection first, then
//!   the rows of exports by ascending uid. Data guarded by a lock is read in a later statement.
//! - A mutation is one transaction, including its audit events and its idempotency key, and runs in its own task.
//! - Every query of a call filters by organization, and every foreign key includes it. Only background work
//!   reads all organizations: retention, checks of the keys, metrics, and the scheduling and leasing of runs.
//! - A credential is sealed before it is stored, and bound to the destination that it may be sent to. No response message
//!   has a field for it.
//! - A connection to what a caller names goes to a checked address: one that is public or that the operator permits. Only
//!   the dialer opens such connections.
//! - A due time becomes at most one run, and a run has at most one lease. A runner whose lease was lost, or whose run was
//!   cancelled because its export was detached, commits nothing.
//! - Only the commit of a destination makes files or rows visible, and a run that is carried out again leaves one result. A
//!   webhook, which cannot do that, gives its batches ids.
//! - A preview reads, transforms and encodes as a run does.
//! - A payload without fields gets those that the dataset has when it is saved; a field that is added later is not exported.
//!
//! # Glossary
//!
//! | Term | Meaning |
//! |---|---|
//! | organization | the tenant; every resource but the catalog belongs to exactly one |
//! | connection | a configured link to one external service, with a sealed credential |
//! | dataset | a table of an organization in a source that the operator configures |
//! | export | a payload, a schedule and destination settings that use a connection |
//! | run | one execution of an export, or due times that were skipped |
//! | attempt | one try of a run by one replica, which holds its lease |
//! | attached, detached | an attached export has a connection; a detached one keeps its configuration and does not run |
//! | usable connection | one on which the caller may create exports: administrators may use every connection, a
//! contributor one that is shared with all contributors, with them, or with one of their groups |
//! | manager | may change an export: an administrator; if it is attached, a contributor who may use its connection; if
//! it is detached, the contributor who created it |
//! | blocking export | an export attached to a connection that is to be deleted |
//! | blocking set | all blocking exports of a connection at one time, identified by `blocking_set_etag` |
//! | binding field | a property of a connection that determines the destination or the identity used there |

pub mod app;
pub mod background;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod dialer;
mod fair_share;
#[cfg(test)]
mod fuzzing;
pub mod grpc;
pub mod identity;
pub mod model;
mod private_file;
pub mod runs;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod vault;
