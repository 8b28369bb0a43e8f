//! Support of the tests: servers on both databases, clients for every kind of caller, sample requests.

mod binary;
mod calls;
mod client;
mod database;
mod dynamic;
mod fixtures;
mod gate;
mod issuer;
mod postgres;
mod proxy;
mod server;
mod spans;
mod user;
mod vault;

use std::time::Duration;

pub use binary::{Process, admin_address, outflow, signal};
pub use calls::{ANYBODY, CALLERS, CallOptions, Names, OK, SAMPLES, Sample, Slot};
pub use client::{Client, Clients, ErrorExt, ORGANIZATION};
pub use database::{Database, lock_connections};
pub use dynamic::{declared_methods, method};
pub use fixtures::*;
pub use gate::{Gate, print_line};
pub use issuer::{Issuer, issuer_settings};
pub use postgres::{Cluster, new_database, program, server_log_lines, start_cluster};
pub use proxy::Proxy;
pub use server::{Backend, TestServer, on_both, on_both_with_datasets};
pub use spans::receive_spans;
pub use user::{as_root, own_unprivileged, run_unprivileged, unprivileged};

/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Waits for a future with a timeout; panics with `what` if the timeout elapses.
pub async fn with_timeout<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}
