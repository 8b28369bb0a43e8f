//! What tests stand on: servers on both databases, clients for every kind of caller, things to send.

mod binary;
mod calls;
mod client;
mod database;
mod dynamic;
mod fixtures;
mod gate;
mod postgres;
mod proxy;
mod server;
mod vault;

pub use binary::{Process, address_of_probes, outflow, signal};
pub use calls::{CALLERS, CallOptions, Names, OK, SAMPLES, Sample, Slot};
pub use client::{Client, Clients, ErrorExt};
pub use database::{Database, hold_connections};
pub use dynamic::declared_methods;
pub use fixtures::*;
pub use gate::{Gate, say};
pub use postgres::{new_database, program, server_log_lines};
pub use proxy::Proxy;
pub use server::{Backend, TestServer, on_both};

/// Waits for something that must come, and says what it was if it does not.
pub async fn awaited<T>(what: &str, work: impl Future<Output = T>) -> T {
    let patience = std::time::Duration::from_mins(1);
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
